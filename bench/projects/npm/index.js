const express = require("express");

express().get("/", (request, response) => response.send("shop")).listen(8080);
