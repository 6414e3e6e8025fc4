"use strict";

const actions = {
  "record-visit": ["登记采集记录", "record a visit"], "assert-facts": ["事实入档", "assert facts"], "assess-needs": ["研判", "assess needs"],
  "decide-need": ["审核决定", "decide a need"], "open-request": ["转办", "open a request"], "add-part": ["增加联办", "add a part"],
  "call-conference": ["召集会商", "call a conference"], "add-minute": ["写会商记录", "write minutes"], "read-minutes": ["查看会商记录", "read minutes"],
  "transition-task": ["办理进展", "move a task"],
  "recalculate-due": ["重算办结期限", "count a due time anew"],
  "rate-request": ["评价", "rate a request"], "register-key": ["登记公钥", "register a key"], "read-record": ["查看记录", "read a record"],
  "read-file": ["查看户档", "read a file"], "read-assessment": ["查看研判", "read an assessment"], "read-request": ["查看请求", "read a request"],
  "list-requests": ["列出请求", "list requests"], "read-journey": ["查看办理轨迹", "read a journey"], "follow-request": ["凭码查询", "follow a request"],
  "list-gaps": ["查看缺漏", "list gaps"], "search-log": ["检索日志", "search the log"], "export-log": ["导出日志", "export the log"],
  "read-life": ["查看记录全程", "read a record's life"], "read-conduct": ["查看行为提示", "read conduct"], "declare-ties": ["申报利益关系", "declare ties"],
  "ask-about-subject": ["申请查询当事人", "ask about a subject"], "agree-to-ask": ["同意查询", "agree to an inquiry"],
  "read-about-subject": ["查看当事人", "read about a subject"], "see-who-looked": ["本人查看记录", "see who looked"],
  "ask-to-defer": ["申请暂缓告知", "ask to defer"], "approve-deferral": ["批准暂缓告知", "approve a deferral"], "erase-subject": ["清除", "erase a subject"],
  "name-exclusions": ["指定回避人员", "name exclusions"],
  "name-proxy": ["指定代理人", "name a proxy"],
  "draw-sign-in-code": ["生成登录码", "draw a one-time code"], "sign-in": ["居民登录", "sign in"],
  "link-account": ["关联居民账户", "link an account"], "unlink-account": ["解除居民账户关联", "unlink an account"],
  "break-glass": ["紧急授权", "break the glass"], "list-break-glass": ["列出紧急授权", "list emergency accesses"],
  "acknowledge-break-glass": ["知悉紧急授权", "acknowledge an emergency access"], "review-break-glass": ["复核紧急授权", "review an emergency access"],
  "activate-policy": ["启用策略", "activate a policy"], "activate-rules": ["启用规则", "activate rules"], "activate-keys": ["启用密钥", "activate keys"],
  "begin-key-epoch": ["启用密钥加密密钥", "begin a key epoch"], "destroy-wrapping-key": ["销毁密钥加密密钥", "destroy a wrapping key"],
  "destroy-data-key": ["销毁数据密钥", "destroy a data key"],
  "withdraw-key": ["撤销公钥", "withdraw a key"], "change-endpoint": ["变更推送地址", "change an endpoint"],
  "read-feed-settings": ["查看推送设置", "read feed settings"], "read-feed": ["取走推送", "read a feed"],
  "acknowledge-erasure": ["确认删除", "acknowledge an erasure"], "list-unerased": ["列出未确认删除", "list what is not erased"],
  "see-figures": ["查看统计", "see figures"],
  "publish-directory": ["发布服务目录", "publish a directory"], "try-directory": ["试算服务目录", "try a directory"],
  "activate-directory": ["启用服务目录", "activate a directory"], "explain-route": ["查看分派理由", "explain a route"],
  "list-dead-letters": ["列出死信", "list dead letters"], "read-dead-letter": ["查看死信", "read a dead letter"],
  "replay-dead-letter": ["重放死信", "replay a dead letter"], "refuse": ["拒绝", "refuse"], "unreadable": ["无法读取", "unreadable"],
};
const services = {
  "gateway": ["网关", "gateway"], "intake": ["采集", "intake"], "registry": ["户档", "registry"], "risk": ["研判", "triage"],
  "referral": ["转办", "referral"], "audit": ["审计日志", "audit log"],
  "keystore": ["密钥库", "key store"],
};
const agencies = {
  "station": ["服务站", "station"], "civil-affairs": ["民政", "civil affairs"], "health": ["卫健", "health"], "justice": ["司法", "justice"],
  "fire": ["消防", "fire"], "labour": ["人社", "labour"], "housing": ["住建", "housing"], "community-office": ["社区工作站", "community office"],
};
const purposes = {
  "intake": ["采集", "intake"], "triage": ["研判", "triage"], "service": ["办理", "service"], "follow-up": ["回访", "follow-up"], "audit": ["审计", "audit"],
  "resident-request": ["居民申请", "resident's request"], "repair": ["修复", "repair"], "emergency": ["紧急", "emergency"],
};
const roles = {
  "collector": ["采集员", "collector"], "reviewer": ["审核员", "reviewer"], "supervisor": ["监督员", "supervisor"], "officer": ["部门经办人", "officer"],
  "department-system": ["部门业务系统", "department system"], "resident": ["居民", "resident"], "auditor": ["审计员", "auditor"], "operator": ["运维员", "operator"],
  "portal": ["国家门户", "national portal"],
  "service": ["站内服务程序", "the station's own service"],
};
const others = {
  "done": ["完成", "done"], "nothing-shown": ["未显示内容", "nothing shown"], "accepted": ["已受理", "accepted"], "rejected": ["不予受理", "rejected"],
  "confirmed": ["确认", "confirmed"], "requested": ["待受理", "requested"], "in-progress": ["办理中", "in progress"], "on-hold": ["暂缓", "on hold"],
  "completed": ["已办结", "completed"], "failed": ["未能办结", "failed"], "cancelled": ["已取消", "cancelled"], "entered-in-error": ["录入有误", "entered in error"],
  "entries-missing": ["条目缺少", "entries missing"], "entries-unpromised": ["条目未登记", "entries not promised"],
  "entries-different": ["条目不符", "other entries than promised"], "manifest-missing": ["登记清单缺少", "manifest missing"],
  "manifest-contradicted": ["登记清单矛盾", "manifests contradict"], "silent": ["无登记", "silent"],
};
const choices = { actions, services, agencies, purposes };
const texts = {
  loading: ["正在读取……", "Reading …"], lost: ["连接中断，请稍后再试。", "No connection; try again in a moment."],
  away: ["日志服务暂时没有回应，请稍后再试。", "The log does not answer now; try again in a moment."],
  signIn: ["请先以审计员身份登录。", "Please sign in as an auditor."], signInFirst: ["登录后显示。", "Shown once you have signed in."],
  refused: ["您现在的身份不是审计员，无权查看；此次尝试已记入日志。", "You are not signed in as an auditor and may not see this; the try is in the log."],
  notShown: ["无权查看。", "Not shown to you."], notBegun: ["日志尚未开始。", "The log has not begun."],
  notWitnessed: ["还没有足够见证方联署的检查点。", "No checkpoint has the cosignatures of enough witnesses yet."],
  entries: ["条", "entries"], root: ["树根", "root"], signed: ["签名于", "signed"], cosigned: ["联署于", "cosigned"], by: ["见证方", "by"],
  all: ["全部", "all"], noGaps: ["没有缺漏：各服务登记的条目都在日志中。", "No gap is open: the log holds what services promised."],
  gapsOpen: ["处缺漏未补", "open gaps"], service: ["服务", "Service"], manifest: ["最近登记", "Last manifest"], until: ["登记至", "Promised until"],
  waiting: ["待核对", "Waiting"], gaps: ["缺漏", "Gaps"], kind: ["种类", "Kind"], since: ["起", "From"], held: ["实有 / 登记", "Held / promised"], noticed: ["发现于", "Noticed"],
  nothingFound: ["近七日没有需要核实的提示。", "Nothing is to be asked about in the last seven days."], findings: ["条提示需要核实", "findings to be looked into"],
  upTo: ["最高", "up to"], quietRules: ["没有提示的规则", "Rules that found nothing"], again: ["重新查看", "Look again"], place: ["第 {} 条", "entry {}"],
  waits: ["待排序", "not placed yet"], rulesName: ["规则版本", "Rules"], lookedAt: ["查看于", "Looked at"],
  at: ["时间", "At"], actor: ["操作人", "Actor"], action: ["操作", "Action"], outcome: ["结果", "Outcome"], purpose: ["用途", "Purpose"], index: ["条目", "Entry"],
  noEntries: ["没有符合条件的条目。", "No entry matches."], someEntries: ["条符合", "entries match"], more: ["继续检索", "Search on"],
  wrong: ["条件有误：", "The search is not valid: "],
  goneThrough: ["已查阅", "gone through:"], hidden: ["服务", "service"], refusedTry: ["被拒", "refused"],
};
