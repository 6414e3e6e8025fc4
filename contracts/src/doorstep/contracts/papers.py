"""The papers that a resident can be asked for, in the one notice that lists all that are missing."""

from enum import StrEnum


class Paper(StrEnum):
    """A paper that only the resident has. What an authority has is asked of it, and is not in this list."""

    SIGNED_APPLICATION = "signed-application"
    POWER_OF_ATTORNEY = "power-of-attorney"
    LEASE_CONTRACT = "lease-contract"
    LABOUR_CONTRACT = "labour-contract"
    WAGE_RECORD = "wage-record"
    MEDICAL_RECORD = "medical-record"
    EXPENSE_RECEIPT = "expense-receipt"
    ACCOUNT_FOR_PAYMENT = "account-for-payment"
    REPAIR_QUOTATION = "repair-quotation"
    DAMAGE_PHOTOGRAPH = "damage-photograph"


PAPER_NAMES: dict[Paper, tuple[str, str]] = {
    Paper.SIGNED_APPLICATION: ("本人签字的申请", "Signed application"),
    Paper.POWER_OF_ATTORNEY: ("授权委托书", "Power of attorney"),
    Paper.LEASE_CONTRACT: ("租赁合同", "Lease contract"),
    Paper.LABOUR_CONTRACT: ("劳动合同", "Labour contract"),
    Paper.WAGE_RECORD: ("工资凭证", "Record of wages"),
    Paper.MEDICAL_RECORD: ("病历或诊断材料", "Medical record"),
    Paper.EXPENSE_RECEIPT: ("费用票据", "Receipt of an expense"),
    Paper.ACCOUNT_FOR_PAYMENT: ("收款账户", "Account to be paid to"),
    Paper.REPAIR_QUOTATION: ("维修报价", "Quotation for a repair"),
    Paper.DAMAGE_PHOTOGRAPH: ("损坏部位照片", "Photograph of the damage"),
}
