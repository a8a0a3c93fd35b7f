package holdpoint_test.data_export

read := {
	"actions": [{"name": "http:GET", "kind": "read", "access": "read", "resource": "/customers"}],
	"request": {
		"method": "GET",
		"path": "/customers",
		"path_segments": ["customers"],
		"query": {"page": ["2"]},
		"query_raw": "page=2",
		"headers": {"accept": ["application/json"]},
	},
}

export := object.union(read, {"actions": [{"name": "openapi:exportCustomers", "kind": "data-export", "access": "read"}]})

own(set) := {object | some object in set; startswith(object.rule, "data-export-")}

names(set) := {object.rule | some object in own(set)}

held(rule, reason) := {{
	"rule": rule,
	"reason": reason,
	"risk": "medium",
	"reviewers": [{"group": "data-owners", "count": 1}],
	"expires_in": "30m",
}}

test_a_page_of_customers_is_not_held if {
	own(data.holdpoint.hold) == set() with input as read
}

test_an_export_is_held if {
	own(data.holdpoint.hold) == {{
		"rule": "data-export-kind",
		"reason": "exports data",
		"risk": "high",
		"reviewers": [{"group": "data-owners", "count": 1}],
		"expires_in": "30m",
		"require_reason": true,
	}} with input as export
}

test_an_export_among_others_is_held if {
	both := array.concat(read.actions, export.actions)
	names(data.holdpoint.hold) == {"data-export-kind"} with input as read with input.actions as both
}

test_a_large_page_is_held if {
	own(data.holdpoint.hold) == held("data-export-page-size", "asks for more at once than a page") with input as read
		with input.request.query as {"limit": ["501"]}
}

test_every_name_of_a_page_size_counts if {
	every name in [
		"count", "limit", "max", "maxresults", "max_results", "page[size]", "page_size", "pagesize", "per_page",
		"perpage", "rows", "size", "$top", "Limit", "maxResults", "pageSize",
	] {
		names(data.holdpoint.hold) == {"data-export-page-size"} with input as read with input.request.query as {name: ["1000"]}
		names(data.holdpoint.hold) == set() with input as read with input.request.query as {name: ["100"]}
	}
}

test_a_page_is_not_held if {
	every size in ["1", "20", "500", "499"] {
		own(data.holdpoint.hold) == set() with input as read with input.request.query as {"limit": [size]}
	}
}

test_a_size_that_is_no_plain_number_is_held if {
	every size in ["", "0", "-1", "all", "1e9", "5e0", "10.0", " 10", "+10", "0x10", "0500", "99999999999999999999", "1000000000", "٣"] {
		names(data.holdpoint.hold) == {"data-export-page-size"} with input as read with input.request.query as {"limit": [size]}
	}
}

test_the_second_of_two_sizes_counts_too if {
	names(data.holdpoint.hold) == {"data-export-page-size"} with input as read
		with input.request.query as {"limit": ["10", "100000"]}
}

test_the_largest_page_comes_from_the_data if {
	names(data.holdpoint.hold) == {"data-export-page-size"} with input as read
		with input.request.query as {"limit": ["51"]}
		with data.data_export.rows_max as 50
	names(data.holdpoint.hold) == set() with input as read
		with input.request.query as {"limit": ["50"]}
		with data.data_export.rows_max as 50
}

test_a_largest_page_that_is_no_number_holds_every_size if {
	names(data.holdpoint.hold) == {"data-export-page-size"} with input as read
		with input.request.query as {"limit": ["1"]}
		with data.data_export.rows_max as "500"
}

test_a_size_as_large_as_the_digits_allow_can_be_set if {
	names(data.holdpoint.hold) == set() with input as read
		with input.request.query as {"limit": ["999999999"]}
		with data.data_export.rows_max as 999999999999
	names(data.holdpoint.hold) == {"data-export-page-size"} with input as read
		with input.request.query as {"limit": ["1000000000"]}
		with data.data_export.rows_max as 999999999999
}

test_names_of_page_sizes_come_from_the_data if {
	names(data.holdpoint.hold) == {"data-export-page-size"} with input as read
		with input.request.query as {"howmany": ["9999"], "limit": ["9999"]}
		with data.data_export.size_parameters as ["howmany"]
	names(data.holdpoint.hold) == set() with input as read
		with input.request.query as {"limit": ["9999"]}
		with data.data_export.size_parameters as ["howmany"]
}

test_a_table_or_an_archive_is_held if {
	own(data.holdpoint.hold) == held("data-export-format", "asks for a format in which data is carried away") with input as read
		with input.request.headers.accept as ["text/csv"]
	every format in [
		"application/gzip", "application/octet-stream", "application/vnd.ms-excel",
		"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "application/x-ndjson", "application/x-tar",
		"application/zip", "application/vnd.apache.parquet", "Text/CSV; header=present", "text/tab-separated-values",
		"application/json, text/csv;q=0.5",
	] {
		names(data.holdpoint.hold) == {"data-export-format"} with input as read
			with input.request.headers.accept as ["application/json", format]
	}
}

test_other_formats_are_not_held if {
	every format in ["*/*", "text/html", "application/vnd.github+json", "application/problem+json"] {
		own(data.holdpoint.hold) == set() with input as read with input.request.headers.accept as [format]
	}
	own(data.holdpoint.hold) == set() with input as read with input.request.headers as {}
}

test_formats_come_from_the_data if {
	names(data.holdpoint.hold) == {"data-export-format"} with input as read
		with input.request.headers.accept as ["application/pdf"]
		with data.data_export.formats as ["application/pdf"]
}

test_the_path_of_an_export_is_held if {
	own(data.holdpoint.hold) == held("data-export-path", "its path is that of an export") with input as read
		with input.request.path_segments as ["customers", "export"]
	every segment in [
		"backup", "bulk", "download", "dump", "export", "exports", "snapshot", "Export", "export.csv", "bulk-read",
		"2026_dump",
	] {
		names(data.holdpoint.hold) == {"data-export-path"} with input as read with input.request.path_segments as [segment, "7"]
	}
}

test_words_within_words_are_not_held if {
	every segment in ["exporters", "bulkhead", "downloads2go", "humpdumpty", ""] {
		own(data.holdpoint.hold) == set() with input as read with input.request.path_segments as [segment]
	}
}

test_words_come_from_the_data if {
	names(data.holdpoint.hold) == {"data-export-path"} with input as read
		with input.request.path_segments as ["reports"]
		with data.data_export.words as ["reports"]
}

test_a_path_that_cannot_be_read_is_held if {
	own(data.holdpoint.hold) == held("data-export-unreadable", "its path or query cannot be read") with input as read
		with input.request as object.remove(read.request, ["path_segments"])
}

test_a_query_that_cannot_be_read_is_held if {
	names(data.holdpoint.hold) == {"data-export-unreadable"} with input as read
		with input.request as object.remove(read.request, ["query"])
	own(data.holdpoint.hold) == set() with input as read
		with input.request as object.remove(read.request, ["query", "query_raw"])
	own(data.holdpoint.hold) == set() with input as read
		with input.request.query as {}
		with input.request.query_raw as ""
}

test_reviewers_come_from_the_data if {
	others := [{"group": "security", "count": 2}]
	odd := object.union(export, {"request": {
		"query": {"limit": ["all"]},
		"path_segments": ["dump"],
		"headers": {"accept": ["text/csv"]},
	}})
	holds := own(data.holdpoint.hold) with input as odd with data.data_export.reviewers as others
	{hold.rule | some hold in holds} == {"data-export-kind", "data-export-page-size", "data-export-format", "data-export-path"}
	every hold in holds { hold.reviewers == others }
}
