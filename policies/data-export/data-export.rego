package holdpoint

# Data that leaves in bulk, whether the dialect calls it an export or not.

# METADATA
# title: Exports leave with the consent of those who own the data
# custom: { severity: high, controls: ["SOC2 CC6.7", "NIST 800-53 AC-4", "ISO 27001 A.8.12"] }
hold contains {
	"rule": "data-export-kind",
	"reason": "exports data",
	"risk": "high",
	"reviewers": data_export_reviewers,
	"expires_in": "30m",
	"require_reason": true,
} if {
	some action in input.actions
	action.kind == "data-export"
}

# METADATA
# title: A page so large that it is an export
# description: >-
#   A size that is no plain number holds too: servers read `-1`, `all` or nothing as everything.
# custom: { severity: medium, controls: ["SOC2 CC6.7", "NIST 800-53 AC-4", "ISO 27001 A.8.12"] }
hold contains {
	"rule": "data-export-page-size",
	"reason": "asks for more at once than a page",
	"risk": "medium",
	"reviewers": data_export_reviewers,
	"expires_in": "30m",
} if {
	some name, values in input.request.query
	lower(name) in data_export_size_parameters
	some value in values
	not data_export_is_page(value)
}

data_export_is_page(value) if {
	is_number(data_export_rows_max)
	regex.match(`^[1-9][0-9]{0,8}$`, value)
	to_number(value) <= data_export_rows_max
}

# METADATA
# title: A table or an archive is asked for
# custom: { severity: medium, controls: ["SOC2 CC6.7", "NIST 800-53 AC-4", "ISO 27001 A.8.12"] }
hold contains {
	"rule": "data-export-format",
	"reason": "asks for a format in which data is carried away",
	"risk": "medium",
	"reviewers": data_export_reviewers,
	"expires_in": "30m",
} if {
	some value in input.request.headers.accept
	some format in data_export_formats
	contains(lower(value), format)
}

# METADATA
# title: The path says that it is an export
# custom: { severity: medium, controls: ["SOC2 CC6.7", "NIST 800-53 AC-4", "ISO 27001 A.8.12"] }
hold contains {
	"rule": "data-export-path",
	"reason": "its path is that of an export",
	"risk": "medium",
	"reviewers": data_export_reviewers,
	"expires_in": "30m",
} if {
	some segment in input.request.path_segments
	some word in regex.split(`[^a-z]+`, lower(segment))
	word in data_export_words
}

# METADATA
# title: A path or query that cannot be read may ask for anything
# custom: { severity: medium, controls: ["NIST 800-53 SI-10", "ISO 27001 A.8.26"] }
hold contains {
	"rule": "data-export-unreadable",
	"reason": "its path or query cannot be read",
	"risk": "medium",
	"reviewers": data_export_reviewers,
	"expires_in": "30m",
} if {
	data_export_is_unreadable
}

data_export_is_unreadable if not input.request.path_segments

data_export_is_unreadable if {
	is_string(input.request.query_raw)
	not input.request.query
}

default data_export_reviewers := [{"group": "data-owners", "count": 1}]

data_export_reviewers := data.data_export.reviewers

default data_export_rows_max := 500

data_export_rows_max := data.data_export.rows_max

default data_export_size_parameters := [
	"count", "limit", "max", "maxresults", "max_results", "page[size]", "page_size", "pagesize", "per_page", "perpage",
	"rows", "size", "$top",
]

data_export_size_parameters := data.data_export.size_parameters

default data_export_formats := [
	"application/gzip", "application/octet-stream", "application/vnd.ms-excel", "application/vnd.openxmlformats",
	"application/x-ndjson", "application/x-tar", "application/zip", "parquet", "text/csv", "text/tab-separated-values",
]

data_export_formats := data.data_export.formats

default data_export_words := ["backup", "bulk", "download", "dump", "export", "exports", "snapshot"]

data_export_words := data.data_export.words
