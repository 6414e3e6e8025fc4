"use strict";

/* The papers that a resident can be asked for, in both languages. */
const paperWords = {
  "signed-application": ["本人签字的申请", "Signed application"], "power-of-attorney": ["授权委托书", "Power of attorney"],
  "lease-contract": ["租赁合同", "Lease contract"], "labour-contract": ["劳动合同", "Labour contract"], "wage-record": ["工资凭证", "Record of wages"],
  "medical-record": ["病历或诊断材料", "Medical record"], "expense-receipt": ["费用票据", "Receipt of an expense"],
  "account-for-payment": ["收款账户", "Account to be paid to"], "repair-quotation": ["维修报价", "Quotation for a repair"],
  "damage-photograph": ["损坏部位照片", "Photograph of the damage"],
};
