const ms = require("ms")
const shared = require("shared")
require("http").createServer((request, response) => {
  response.end(`${shared.name} ${ms("2 days")} ${process.arch} ${process.getuid()} ${require("fs").existsSync("src/index.ts")}`)
}).listen(process.env.PORT)
process.on("SIGTERM", () => process.exit(0))
