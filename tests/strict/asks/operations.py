"""What the services ask that watch over a deployment, keep its files and names, and break it on purpose."""

from .. import reference
from .asking import NEW, Asking


class Operations(Asking):
    """Certificates, alarms, topics, rules, buckets, records, experiments, parameters."""

    def acm(self):
        if not reference.types(self.action):
            self.ask(self.action, "*", context=self.request_tags(self.p.get("Tags", [])))
            return
        arn = self.p.get("CertificateArn") or self.arn("acm", "certificate", NEW)
        tags = self.p.get("Tags", [])
        self.ask(self.action, arn, "certificate", context=self.request_tags(tags))
        if tags and self.call.operation == "ImportCertificate":
            # ACM API, ImportCertificate: the right to tag is asked for too.
            self.ask("acm:AddTagsToCertificate", arn, "certificate", context=self.request_tags(tags))

    def cloudwatch(self):
        operation, tags = self.call.operation, self.p.get("Tags", [])
        alarms = self.p.get("AlarmNames") if operation == "DeleteAlarms" else [self.p.get("AlarmName")]
        dashboards = self.p.get("DashboardNames") or [self.p.get("DashboardName")]
        if operation == "ListTagsForResource":
            self.ask(self.action, self.p["ResourceARN"], "alarm")
        elif "Dashboard" in operation:
            for name in dashboards:
                self.ask(self.action, self.arn("cloudwatch", "dashboard", name), "dashboard")
        elif operation == "DescribeAlarms" or alarms == [None]:
            namespace = {"cloudwatch:namespace": [self.p["Namespace"]]} if "Namespace" in self.p else {}
            self.ask(self.action, "*", context=namespace)
        else:
            for name in alarms:
                alarm = self.arn("cloudwatch", "alarm", name)
                self.ask(self.action, alarm, "alarm", context=self.request_tags(tags))
                if tags:  # CloudWatch API, PutMetricAlarm: "you must also have cloudwatch:TagResource"
                    self.ask("cloudwatch:TagResource", alarm, "alarm", context=self.request_tags(tags))

    def sns(self):
        operation, tags = self.call.operation, self.p.get("Tags", [])
        if operation == "CreateTopic":
            topic = self.arn("sns", "topic", self.p["Name"])
        else:
            topic = self.p.get("TopicArn") or self.p.get("ResourceArn")
        if topic is None or not reference.types(self.action):
            self.plain()
            return
        self.ask(self.action, topic, "topic", context=self.request_tags(tags))
        if tags:  # SNS developer guide, "Tagging Amazon SNS topics"
            self.ask("sns:TagResource", topic, "topic", context=self.request_tags(tags))

    def events(self):
        name = self.p.get("Rule") or self.p.get("Name")
        rule = self.p.get("ResourceARN") or (name and self.arn("events", "rule-on-default-event-bus", name))
        if rule is None:
            self.plain()
            return
        tags = self.p.get("Tags", [])
        kind = "rule-on-default-event-bus"
        self.ask(self.action, rule, kind, context=self.request_tags(tags))
        if tags:  # EventBridge API, PutRule: "you must have both the events:PutRule and events:TagResource"
            self.ask("events:TagResource", rule, kind, context=self.request_tags(tags))

    def s3(self):
        bucket = f"arn:aws:s3:::{self.p['Bucket']}" if "Bucket" in self.p else "*"
        if self.call.operation == "DeleteObjects":
            for each in self.p["Delete"]["Objects"]:
                action = "s3:DeleteObjectVersion" if each.get("VersionId") else "s3:DeleteObject"
                self.ask(action, f"{bucket}/{each['Key']}", "object")
        elif "Key" in self.p:
            deletes = self.call.operation == "DeleteObject" and self.p.get("VersionId")
            action = "s3:DeleteObjectVersion" if deletes else self.action
            self.ask(action, f"{bucket}/{self.p['Key']}", "object")
            absent = not self.things.has_object(self.p["Bucket"], self.p["Key"])
            if self.call.operation in ("GetObject", "HeadObject") and absent:
                # S3 API, GetObject, "Permissions": without it an object that is not there is denied.
                self.ask("s3:ListBucket", bucket, "bucket")
            if "IfMatch" in self.p and self.call.operation in ("PutObject", "DeleteObject"):
                # S3 user guide, "How to prevent object overwrites with conditional writes", "Enforce conditional
                # deletes": who compares an ETag must have the right to read it.
                self.ask("s3:GetObject", f"{bucket}/{self.p['Key']}", "object")
            if self.p.get("Tagging"):  # S3 API, PutObject: x-amz-tagging
                self.ask("s3:PutObjectTagging", f"{bucket}/{self.p['Key']}", "object")
        else:
            prefix = {"s3:prefix": [self.p["Prefix"]]} if "Prefix" in self.p else {}
            tags = self.p.get("CreateBucketConfiguration", {}).get("Tags", [])
            self.ask(self.action, bucket, "bucket", context={**prefix, **self.request_tags(tags)})
            if tags:  # S3 API, CreateBucketConfiguration: "You must have the s3:TagResource permission"
                self.ask("s3:TagResource", bucket, "bucket", context=self.request_tags(tags))

    def route53(self):
        zone = self.p.get("HostedZoneId") or self.p.get("Id")
        if zone is None:
            self.plain()
            return
        zone = "arn:aws:route53:::hostedzone/" + zone.rsplit("/", 1)[-1]
        changes = [each["ResourceRecordSet"] for each in self.p.get("ChangeBatch", {}).get("Changes", [])]
        actions = [each["Action"] for each in self.p.get("ChangeBatch", {}).get("Changes", [])]
        prefix = "route53:ChangeResourceRecordSets"
        names = [each["Name"].rstrip(".").lower() for each in changes]
        context = {f"{prefix}RecordTypes": [each["Type"] for each in changes],
                   f"{prefix}NormalizedRecordNames": names, f"{prefix}Actions": actions}
        self.ask(self.action, zone, "hostedzone", context=context if changes else {})

    def fis(self):
        operation, tags = self.call.operation, self.request_tags(self.p.get("tags", {}))
        template = lambda name: self.arn("fis", "experiment-template", name)  # noqa: E731
        if operation == "CreateExperimentTemplate":
            self.ask(self.action, template("EXT" + NEW), "experiment-template", context=tags)
            for action in self.p.get("actions", {}).values():
                arn = f"arn:aws:fis:{self.call.region}:{self.account}:action/{action['actionId']}"
                self.ask(self.action, arn, "action", context=tags)
            if tags:
                self.ask("fis:TagResource", template("EXT" + NEW), "experiment-template", context=tags)
            self.pass_role(self.p["roleArn"], "fis.amazonaws.com")
        elif operation == "StartExperiment":
            experiment = self.arn("fis", "experiment", "EXP" + NEW)
            self.ask(self.action, experiment, "experiment", context=tags)
            self.ask(self.action, template(self.p["experimentTemplateId"]), "experiment-template")
            if tags:
                self.ask("fis:TagResource", experiment, "experiment", context=tags)
        elif "id" in self.p:
            kind = "experiment-template" if "Template" in operation else "experiment"
            self.ask(self.action, self.arn("fis", kind, self.p["id"]), kind)
        else:
            self.plain()

    def ssm(self):
        operation = self.call.operation
        if operation == "SendCommand":
            document = f"arn:aws:ssm:{self.call.region}::document/{self.p['DocumentName']}"
            self.ask(self.action, document, "document")
            for instance in self.p.get("InstanceIds", []):
                self.ask(self.action, self.arn("ec2", "instance", instance), "instance")
        elif operation in ("GetParameter", "GetParametersByPath"):
            name = (self.p.get("Name") or self.p.get("Path")).strip("/")
            self.ask(self.action, self.arn("ssm", "parameter", name), "parameter")
            if self.p.get("WithDecryption"):
                # Systems Manager user guide, "How Parameter Store uses KMS"
                for parameter, key in self.things.encrypted_parameters(name):
                    named = {"kms:EncryptionContext:PARAMETER_ARN": [self.arn("ssm", "parameter", parameter)]}
                    self.ask("kms:Decrypt", key, "key", context=named)
        else:
            self.plain()

    def tag(self):
        self.plain()
