module github.com/gofapi/fapi2/store/sqlstore

go 1.25.0

require (
	github.com/gofapi/fapi2 v0.0.0
	github.com/stretchr/testify v1.12.1
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

replace github.com/gofapi/fapi2 => ../../
