"use strict";

const needs = {
  "civil-affairs": {
    "minimum-living-allowance": ["最低生活保障", "Minimum living allowance"], "temporary-relief": ["临时救助", "Temporary relief"],
    "emergency-food": ["应急食物", "Emergency food"], "no-heating": ["无供暖", "No heating"],
  },
  "health": {
    "chronic-illness-follow-up": ["慢性病随访", "Chronic illness follow-up"], "health-advice": ["健康咨询", "Health advice"],
    "counselling": ["心理咨询", "Counselling"],
  },
  "justice": {
    "legal-aid": ["法律援助", "Legal aid"], "mediation": ["人民调解", "Mediation"],
    "protection-from-violence": ["反家庭暴力保护", "Protection from violence"],
  },
  "fire": {
    "gas-hose-replacement": ["更换燃气软管", "Gas hose replacement"], "gas-leak": ["燃气泄漏", "Gas leak"], "wiring-repair": ["电线整改", "Wiring repair"],
    "e-bike-charging": ["电动车室内充电", "E-bike charged indoors"], "stairwell-charging": ["楼道充电隐患", "Stairwell charging hazard"],
    "blocked-exit": ["疏散通道堵塞", "Blocked exit"], "fire-check": ["消防检查", "Fire safety check"],
  },
  "labour": { "wage-help": ["讨薪帮助", "Help with unpaid wages"], "work-training": ["就业培训", "Training for work"] },
  "housing": { "housing-repair": ["房屋维修", "Housing repair"], "structure-danger": ["房屋结构危险", "Dangerous structure"] },
};
const noPart = new Set(["protection-from-violence"]);
const departments = {
  "civil-affairs": ["民政", "Civil affairs"], "health": ["卫健", "Health"], "justice": ["司法", "Justice"], "fire": ["消防", "Fire safety"],
  "labour": ["人社", "Labour"], "housing": ["住建", "Housing"],
};
const words = {
  "draft": ["待转部门", "waits for a department"], "requested": ["待受理", "requested"], "accepted": ["已受理", "accepted"],
  "rejected": ["不予受理", "rejected"], "in-progress": ["办理中", "in progress"], "on-hold": ["暂停", "on hold"], "completed": ["已办结", "completed"],
  "failed": ["未能办成", "failed"], "cancelled": ["已取消", "cancelled"], "entered-in-error": ["误录", "entered in error"],
  "route": ["由服务站转给部门", "the station finds a department"], "respond": ["部门首次答复", "the department's first response"],
  "hand-on": ["被退回，由服务站转办", "came back: the station hands it on"], "complete": ["部门办结", "the department completes it"],
  "wait-for-resident": ["等待居民补材料", "waits for the resident's papers"],
  "not-ours": ["不属于本部门职责", "not this department's to do"], "not-eligible": ["不符合办理条件", "the conditions are not met"],
  "no-capacity": ["暂无办理能力", "no capacity now"], "duplicate": ["已有相同请求", "there is such a request already"],
  "papers-missing": ["材料不全", "papers are missing"], "waiting-for-resident": ["等待本人", "it waits for the person"],
  "could-not-reach-resident": ["未能联系上本人", "the person could not be reached"], "resident-withdrew": ["本人撤回", "the person took it back"],
  "moved-away": ["本人已迁出", "the person moved away"], "not-solvable": ["无法解决", "it cannot be solved"],
  "wrong-record": ["登记有误", "the record was wrong"], "no-response": ["逾期未答复", "there was no answer in time"],
  "response": ["首次答复", "first response"], "completion": ["办结", "completion"],
  "stands": ["维持原处理", "It stands"], "opened-anew": ["重新开立请求", "Open it anew"], "record-to-be-corrected": ["记录须更正", "The record is to be corrected"],
};
const texts = {
  signIn: ["请先登录。", "Please sign in."], refused: ["此页面供服务站审核员和监督员使用。", "This page is for reviewers and supervisors of the station."],
  lost: ["没有回应，请稍后再试。", "No answer; try again in a moment."], read: ["读取于", "Read at"],
  all: ["全部", "All"], late: ["已逾期", "Late"], ours: ["在服务站手上", "With the station"], resident: ["等待居民", "Waits for the resident"], soon: ["将到期", "Due soon"],
  stationHasIt: ["服务站", "The station"], part: ["第 {} 部分，共 {} 部分", "part {} of {}"], confidential: ["保密", "confidential"],
  overdueBy: ["已逾期 {}", "{} late"], left: ["还有 {}", "{} left"], days: ["{} 天", "{} d"], hours: ["{} 小时", "{} h"], minutes: ["{} 分钟", "{} min"],
  pausedUntil: ["最迟暂停至 {}", "paused until {} at most"], reminded: ["{} 已催办", "reminded on {}"], papers: ["所缺材料", "missing papers"],
  promisedUntil: ["容缺受理，承诺最迟 {} 补齐", "goes on, papers promised by {}"],
  open: ["查看", "Show"], close: ["收起", "Hide"], remind: ["催办", "Remind"], handOn: ["转办", "Hand on"], reroute: ["收回改派", "Take back, reroute"],
  withdraw: ["代居民撤回", "Withdraw"], know: ["我已知悉", "I know of it"], answer: ["答复", "Answer"], addPart: ["增加联办部门", "Add a part"], confer: ["召集会商", "Call a conference"],
  calls: ["已呼叫 {} 次", "called {} times"], answerBy: ["须在 {} 前答复", "to be answered by {}"], askedAt: ["{} 申请", "asked {}"], due: ["期限 {}", "due {}"],
  overdue: ["已逾期", "overdue"], moreCalls: ["还有未读取的请求，其中可能也有呼叫；请按“更多”。", "Not all requests were read, and calls may be among the others; press More."],
  number: ["请求编号", "Request number"], parts: ["各部分", "Parts"], need: ["事项", "Need"], state: ["状态", "State"], department: ["部门", "Department"],
  respondBy: ["首次答复期限", "Response due"], completeBy: ["办结期限", "Completion due"], leads: ["牵头", "leads"], gone: ["这个请求已不在这里。", "The request is not here any more."],
  remindSays: ["提醒 {}：{}。每个请求每天只能催办一次。", "{} is reminded: {}. A request is reminded of once a day."], remindDone: ["已催办 {}：{}，期限 {}。", "{} was reminded of the {}, due {}."],
  handOnSays: ["所选部门将收到请求，并重新计算首次答复期限；办结期限不变。", "The department that you choose gets the request, and owes a first response anew; the completion stays due when it was."],
  rerouteSays: ["{} 未按期答复：请求将从该部门收回，该部门须删除所收内容；所选部门重新计算首次答复期限，办结期限不变。", "{} did not answer in time: the request is taken back, and the department must delete what it has. The other owes a first response anew; the completion stays due when it was."],
  to: ["转给", "To"], note: ["说明（不写居民姓名和住址，可不填）", "Note (no name or address of the resident; may be empty)"], handOnDone: ["已转给 {}。", "Handed on to {}."],
  assign: ["指定部门", "Assign"], assignDone: ["已指定 {} 办理。", "Assigned to {}."],
  assignSays: ["您作为裁决人指定部门：该部门不能退回，并重新计算首次答复期限；办结期限不变。", "You assign it as arbiter: the department cannot reject it, and owes a first response anew; the completion stays due when it was."],
  arbiterAssigns: ["两个部门不予受理，等待裁决人（监督员）指定", "rejected twice: waits for the arbiter, a supervisor"],
  rejectedIt: ["{} 不予受理：{}（{}）", "{} rejected it: {} ({})"], needNotTold: ["事项不显示", "need not told"],
  waitsSince: ["{} 起等待裁决", "waits since {}"], silentSince: ["{} 起逾期：{} 未答复", "overdue since {}: no answer of {}"],
  withdrawSays: ["只在居民本人要求撤回时使用。撤回不影响居民的其他事项；各部门须删除所收内容。", "Only where the resident asked for it. It changes nothing else for them, and departments must delete what they have."],
  which: ["撤回", "What"], whole: ["整个请求", "The whole request"], onlyPart: ["只撤回第 {} 部分（{}）", "Part {} alone ({})"], withdrawDone: ["已代居民撤回。", "Withdrawn for the resident."],
  knowSays: ["您确认自己已知悉此紧急请求并负责跟进，值班台不再呼叫。您的身份记入日志。", "You say that you know of this urgent request and see to it; nobody is called any more. Your name is in the log."], knowDone: ["已记下：您已知悉，不再呼叫。", "Noted: you know of it, and nobody is called any more."],
  answerSays: ["结果会告诉居民。答复后不能更改，您也不再以其他身份经办该记录。", "The resident is told what you found. It cannot be changed, and you have no other part in the record from then on."], finding: ["复核结果", "What you found"],
  answerDone: ["已答复：{}。", "Answered: {}."], openedAnew: ["已另开一个关联请求，等待转给部门。", "A linked request was opened, which waits for a department."],
  addPartSays: ["另一个部门将收到只属于它的一部分，看不到其他部分的内容。", "Another department gets a part of its own, and sees nothing of the others."], consented: ["居民已同意（须经同意的事项必选）", "The resident consented (needed where it rests on consent)"],
  addPartDone: ["已增加第 {} 部分：{}。", "Part {} was added: {}."],
  conferSays: ["牵头部门和所选部门将知道彼此参加。须在 180 天之内，时长不超过八小时。", "The lead and those you choose learn of each other. At most eight hours long, within 180 days."], who: ["参加部门", "Who takes part"], day: ["日期", "Day"], from: ["开始", "From"], until: ["结束", "Until"],
  conferDone: ["已召集会商：{}。", "A conference was called: {}."],
};
