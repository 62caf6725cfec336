module static.example/server

go 1.19
