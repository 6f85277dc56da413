module fdflow-bench-go

go 1.18
