import fs from "fs"
import { urlAlphabet } from "nanoid"
fs.mkdirSync("build/_app", { recursive: true })
fs.writeFileSync("build/_app/version.json", JSON.stringify({ hash: process.env.APP_BUILD_HASH, letters: urlAlphabet.length }))
