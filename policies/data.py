"""Amazon Aurora, Amazon DynamoDB, AWS Systems Manager Parameter Store and Amazon CloudWatch."""

from policies.rule import Props, Rule, get, has_one, is_at_least, is_given, is_one_of, is_true

CLUSTER = "AWS::RDS::DBCluster"
PARAMETERS = "aws:rds/clusterParameterGroup:ClusterParameterGroup"
INSTANCE = "aws:rds/clusterInstance:ClusterInstance"
TABLE = "aws:dynamodb/table:Table"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
PARAMETER = "aws:ssm/parameter:Parameter"

_OWN_KEY = "A key of one's own is $1 a month and a paid request for each use, and its policy has to name all who read. "
_PROTECTED = "Met with `protectData`, which is on by default, and off in stacks that are made to be deleted."
# https://aws.amazon.com/security/security-bulletins/AWS-2022-004/: the first minor version without the vulnerability,
# by major version; later ones never had it.
_LOG_FDW_FIXED = {"10": 14, "11": 9}
_KEY = "arn:aws:kms:eu-west-1:123456789012:key/a"


def _is_mysql(cluster: Props) -> bool:
    return "mysql" in cluster["Engine"]


def _has_fixed_log_fdw(cluster: Props) -> bool:
    major, _, minor = cluster["EngineVersion"].partition(".")
    return "postgresql" not in cluster["Engine"] or int(minor) >= _LOG_FDW_FIXED.get(major, 0)


RULES = (
    Rule(
        "AwsSolutions-RDS2 CKV_AWS_96",
        "Storage is encrypted.",
        CLUSTER,
        is_true("StorageEncrypted"),
        passes={"StorageEncrypted": True},
        fails={"StorageEncrypted": False},
    ),
    Rule(
        "CKV_AWS_327",
        "Storage is encrypted with a key of one's own.",
        CLUSTER,
        is_given("KmsKeyId"),
        passes={"KmsKeyId": _KEY},
        fails={},
        why_not="It is encrypted with the key of RDS. " + _OWN_KEY + "A cluster is replaced to change it.",
    ),
    Rule(
        "AwsSolutions-RDS6 CKV_AWS_162",
        "Users authenticate with IAM.",
        CLUSTER,
        is_true("EnableIAMDatabaseAuthentication"),
        passes={"EnableIAMDatabaseAuthentication": True},
        fails={},
    ),
    Rule(
        "AwsSolutions-RDS10 CKV_AWS_139",
        "The cluster is protected against deletion.",
        CLUSTER,
        is_true("DeletionProtection"),
        passes={"DeletionProtection": True},
        fails={"DeletionProtection": False},
        why_not=_PROTECTED,
    ),
    Rule(
        "AwsSolutions-RDS11",
        "The port is not 3306, the default of the resource type.",
        CLUSTER,
        lambda cluster: cluster.get("Port") not in (None, 3306),
        passes={"Port": 5432},
        fails={},
    ),
    Rule(
        "CKV_AWS_133",
        "Backups are kept.",
        CLUSTER,
        lambda cluster: 0 < cluster.get("BackupRetentionPeriod", 1) <= 35,
        passes={"BackupRetentionPeriod": 7},
        fails={"BackupRetentionPeriod": 0},
    ),
    Rule(
        "CKV2_AWS_8",
        "AWS Backup has the cluster in a plan.",
        CLUSTER,
        has_one,
        beside=(("aws:backup/selection:Selection", "resources"),),
        passes={},
        passes_beside=({"planId": "daily"},),
        fails={},
        why_not="Aurora keeps backups for seven days and restores to any second of them. Longer ones would outlive the "
        "erasure of a user.",
    ),
    Rule(
        "CKV_AWS_313",
        "Snapshots get the tags of the cluster.",
        CLUSTER,
        is_true("CopyTagsToSnapshot"),
        passes={"CopyTagsToSnapshot": True},
        fails={},
    ),
    Rule(
        "CKV_AWS_324",
        "Logs are exported.",
        CLUSTER,
        is_given("EnableCloudwatchLogsExports"),
        passes={"EnableCloudwatchLogsExports": ["postgresql"]},
        fails={},
        why_not="RDS would create the log group, which never expires, and PostgreSQL's errors contain values of the "
        "rows: they would outlive the erasure of a user. The cluster itself has its logs of the last days.",
    ),
    Rule(
        "CKV2_AWS_27",
        "PostgreSQL logs statements.",
        PARAMETERS,
        lambda group: (
            "postgresql" not in group["family"]
            or {"log_statement", "log_min_duration_statement"} <= {each["name"] for each in group["parameters"]}
        ),
        passes={
            "family": "aurora-postgresql17",
            "parameters": [{"name": "log_statement"}, {"name": "log_min_duration_statement"}],
        },
        fails={"family": "aurora-postgresql17", "parameters": [{"name": "log_statement"}]},
        why_not="Changes of the schema are. Other statements contain users' data.",
    ),
    Rule(
        "AwsSolutions-RDS14 CKV_AWS_326",
        "A MySQL cluster can be rewound (Backtrack).",
        CLUSTER,
        lambda cluster: not _is_mysql(cluster) or bool(cluster.get("BacktrackWindow")),
        passes={"Engine": "aurora-mysql", "BacktrackWindow": 3600},
        fails={"Engine": "aurora-mysql"},
    ),
    Rule(
        "AwsSolutions-RDS16 CKV_AWS_325",
        "A MySQL cluster exports its audit log.",
        CLUSTER,
        lambda cluster: not _is_mysql(cluster) or "audit" in cluster.get("EnableCloudwatchLogsExports", ()),
        passes={"Engine": "aurora-mysql", "EnableCloudwatchLogsExports": ["audit"]},
        fails={"Engine": "aurora-mysql"},
    ),
    Rule(
        "CKV_AWS_250",
        "The version of PostgreSQL has no vulnerable log_fdw.",
        CLUSTER,
        _has_fixed_log_fdw,
        passes={"Engine": "aurora-postgresql", "EngineVersion": "17.7"},
        fails={"Engine": "aurora-postgresql", "EngineVersion": "11.8"},
    ),
    Rule(
        "CKV_AWS_17",
        "The instance has no public address.",
        INSTANCE,
        lambda instance: not instance.get("publiclyAccessible"),
        passes={"publiclyAccessible": False},
        fails={"publiclyAccessible": True},
    ),
    Rule(
        "CKV_AWS_118",
        "Enhanced monitoring is on.",
        INSTANCE,
        is_at_least("monitoringInterval", 1),
        passes={"monitoringInterval": 60},
        fails={"monitoringInterval": 0},
        why_not="It is billed as logs and needs a role; the metrics of CloudWatch show the load of a lookup by key.",
    ),
    Rule(
        "CKV_AWS_226",
        "Minor versions are upgraded automatically.",
        INSTANCE,
        is_true("autoMinorVersionUpgrade"),
        passes={"autoMinorVersionUpgrade": True},
        fails={"autoMinorVersionUpgrade": False},
        why_not="The cluster has a version with long-term support, which gets security fixes as patches. An automatic "
        "upgrade would take it off that version.",
    ),
    Rule(
        "CKV_AWS_353",
        "Performance Insights is on.",
        INSTANCE,
        is_true("performanceInsightsEnabled"),
        passes={"performanceInsightsEnabled": True},
        fails={"performanceInsightsEnabled": False},
        why_not="It takes capacity of an instance that is paused most of the time, and keeps statements. The queries "
        "are lookups by key.",
    ),
    Rule(
        "CKV_AWS_354",
        "Performance Insights is encrypted with a key of one's own.",
        INSTANCE,
        lambda instance: (
            not instance.get("performanceInsightsEnabled") or bool(instance.get("performanceInsightsKmsKeyId"))
        ),
        passes={"performanceInsightsEnabled": True, "performanceInsightsKmsKeyId": _KEY},
        fails={"performanceInsightsEnabled": True},
    ),
    Rule(
        "AwsSolutions-DDB3 CKV_AWS_28",
        "The table can be restored to a point in time.",
        TABLE,
        is_true("pointInTimeRecovery.enabled"),
        passes={"pointInTimeRecovery": {"enabled": True}},
        fails={},
        why_not="The table has counts of an hour and blocks of some days. If it is lost, blocks end and the hours "
        "begin anew; backups would outlive the erasure of a user.",
    ),
    Rule(
        "CKV_AWS_119",
        "The table is encrypted with a key of one's own.",
        TABLE,
        lambda table: bool(get(table, "serverSideEncryption.enabled") and get(table, "serverSideEncryption.kmsKeyArn")),
        passes={"serverSideEncryption": {"enabled": True, "kmsKeyArn": _KEY}},
        fails={"serverSideEncryption": {"enabled": True}},
        why_not="It is encrypted with a key of DynamoDB. " + _OWN_KEY,
    ),
    Rule(
        "CKV2_AWS_16",
        "The capacity of the table grows with its use.",
        TABLE,
        lambda table, targets: table.get("billingMode") == "PAY_PER_REQUEST" or bool(targets),
        beside=(("aws:appautoscaling/target:Target", "resourceId"),),
        passes={"billingMode": "PROVISIONED"},
        passes_beside=({"maxCapacity": 100},),
        fails={"billingMode": "PROVISIONED"},
    ),
    Rule(
        "CKV2_AWS_34",
        "The parameter is encrypted.",
        PARAMETER,
        is_one_of("type", "SecureString"),
        passes={"type": "SecureString"},
        fails={"type": "String"},
    ),
    Rule(
        "CKV_AWS_337",
        "The parameter is encrypted with a key of one's own.",
        PARAMETER,
        is_given("keyId"),
        passes={"keyId": _KEY},
        fails={},
        why_not="It is encrypted with the key of Parameter Store, which is free. " + _OWN_KEY,
    ),
    Rule(
        "CKV_AWS_66",
        "Logs expire.",
        LOG_GROUP,
        is_given("retentionInDays"),
        passes={"retentionInDays": 30},
        fails={},
    ),
    Rule(
        "CKV_AWS_338",
        "Logs are kept for a year.",
        LOG_GROUP,
        is_at_least("retentionInDays", 365),
        passes={"retentionInDays": 365},
        fails={"retentionInDays": 30},
        why_not="Logs contain addresses and subjects of users, and are kept for `logRetentionDays`: a month by "
        "default. Set 365 if an audit requires it.",
    ),
    Rule(
        "CKV_AWS_158",
        "Logs are encrypted with a key of one's own.",
        LOG_GROUP,
        is_given("kmsKeyId"),
        passes={"kmsKeyId": _KEY},
        fails={},
        why_not="They are encrypted with a key of CloudWatch Logs. " + _OWN_KEY,
    ),
    Rule(
        "CKV_AWS_319",
        "Actions of the alarm are on.",
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        lambda alarm: alarm.get("actionsEnabled", True),
        passes={},
        fails={"actionsEnabled": False},
    ),
)
