module dashboards.example/dashboards

go 1.19
