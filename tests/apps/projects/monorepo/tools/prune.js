// What these applications need: their manifests in one tree, all of them in another.
const fs = require("fs")
const path = require("path")
const wanted = ["package.json", "package-lock.json", "packages/shared", ...process.argv.slice(2).map((app) => `apps/${app}`)]
for (const name of wanted) {
  fs.cpSync(name, path.join("out/full", name), { recursive: true })
  const manifest = name.endsWith(".json") ? name : path.join(name, "package.json")
  fs.cpSync(manifest, path.join("out/json", manifest))
}
