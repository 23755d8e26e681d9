"""Keys, audit log and jobs in a database that replicas share. Wants the extra `sql`; nothing else imports this."""

from service.access.database.audit import DatabaseAuditLog
from service.access.database.connecting import Database
from service.access.database.jobs import JobBoard, Posted
from service.access.database.keys import DatabaseKeys
from service.access.database.trail import DatabaseTrail

__all__ = ["Database", "DatabaseAuditLog", "DatabaseKeys", "DatabaseTrail", "JobBoard", "Posted"]
