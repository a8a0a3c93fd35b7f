package holdpoint

# METADATA
# title: Looking at things needs nobody's approval
# description: >-
#   Every action of the call must be a plain read. A call that reads in bulk is of kind
#   `data-export`, and one that could not be understood is of kind `unknown`: neither is allowed here.
allow contains {"rule": "reads"} if {
	every action in input.actions {
		action.access == "read"
		action.kind == "read"
	}
}
