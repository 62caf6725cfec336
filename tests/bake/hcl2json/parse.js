// Reads texts as lines of JSON, and writes what HCL's parser makes of each: {"value": …} or {"error": …}.
const { parse } = require("@cdktf/hcl2json");
const lines = require("node:readline").createInterface({ input: process.stdin });

(async () => {
  for await (const line of lines) {
    let answer;
    try {
      answer = { value: await parse("x.hcl", JSON.parse(line)) };
    } catch (error) {
      answer = { error: String(error) };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
})();
