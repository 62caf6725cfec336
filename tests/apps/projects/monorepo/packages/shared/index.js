exports.name = "shared"
