module builder.example/builder

go 1.19
