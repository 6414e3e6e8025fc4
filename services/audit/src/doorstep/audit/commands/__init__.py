"""The command `doorstep audit`. 审计日志命令。"""

from doorstep.audit.commands import conduct, entries, inquiries, inside, outside
from doorstep.audit.commands.answers import application

__all__ = ["application", "conduct", "entries", "inquiries", "inside", "outside"]
