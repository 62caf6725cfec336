// build.js SOURCE TARGET: minify one module.
const fs = require("node:fs");
const path = require("node:path");
const { minify } = require("terser");

const [source, target] = process.argv.slice(2);
minify(fs.readFileSync(source, "utf8"), { module: true }).then(({ code }) => {
  fs.mkdirSync(path.dirname(target), { recursive: true });
  fs.writeFileSync(target, code);
});
