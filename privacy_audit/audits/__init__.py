"""From a thing to an AuditReport, one file per kind of thing."""
