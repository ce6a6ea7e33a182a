module github.com/gofapi/fapi2/examples

go 1.25.0
