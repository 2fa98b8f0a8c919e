"""The audit report: the record, its page, its pictures."""
