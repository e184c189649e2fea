//! Least privilege, proven both ways with the emulator's IAM enforcement on: as the deployer the
//! whole life passes, and its policies allow nothing that is not called.
//!
//! The emulator matches actions, but neither resources nor conditions, so the policies are widened
//! to `*` before enforcement; what narrows them is tested where the policies are made.

use std::collections::BTreeSet;

use aws_sdk_iam::{Client, types::PolicyScopeType};
use jitsi_aws_tests::{
    deployment::{Call, Deployment, Run},
    emulator::{Account, Emulator, post},
};
use serde_json::{Value, json};

use crate::{drift, harm, properties::decode};

/// Allowed, but not seen here: AWS asks for these on behalf of another call, or the emulator is too
/// quick for the call to be needed.
const UNSEEN: [(&str, &str); 16] = [
    ("autoscaling:CreateOrUpdateTags", "tags in CreateAutoScalingGroup"),
    ("autoscaling:DescribeScalingActivities", "while an instance is being launched"),
    ("cloudwatch:GetMetricStatistics", "looking on during a failover test"),
    ("cloudwatch:TagResource", "tags in PutMetricAlarm"),
    ("ec2:CreateTags", "tags in EC2's create calls"),
    ("ec2:GetConsoleOutput", "while an instance boots during a failover test"),
    ("ec2:RunInstances", "CreateAutoScalingGroup with a launch template"),
    (
        "ec2:TerminateInstances",
        "killing the instance; when the emptied group has not ended its own yet",
    ),
    ("elasticloadbalancing:AddTags", "tags in the create calls of load balancing"),
    ("elasticloadbalancing:DescribeTargetHealth", "looking on during a failover test"),
    ("events:TagResource", "tags in PutRule"),
    ("fis:TagResource", "tags in CreateExperimentTemplate and StartExperiment"),
    ("iam:PassRole", "the launch template's instance profile, the experiment's role"),
    ("s3:DeleteObjectVersion", "DeleteObjects with versions"),
    ("s3:PutObjectTagging", "tags in PutObject"),
    ("sns:TagResource", "tags in CreateTopic"),
];

#[tokio::test]
async fn the_deployer_may_do_exactly_what_it_does() {
    let emulator = Emulator::start();
    let admin = administrator(&emulator).await;
    let sdk = admin.sdk();
    let iam = Client::new(&sdk);
    let jitsi = Deployment::new(admin, "jitsi");
    jitsi.succeed(&["setup", "iam"]);
    let allowed = widen(&iam).await;
    post(emulator.endpoint(), "/moto-api/reset-auth", "text/plain", "0"); // from now on policies count

    let mut runs = vec![
        jitsi.succeed(&["setup", "instances"]),
        jitsi.succeed(&["setup", "lb"]),
        jitsi.succeed(&["setup", "monitoring"]),
    ];
    let harms = harm::all(&jitsi).await;
    drift::spoil(&sdk, &jitsi.account.id).await;
    jitsi.configure(|text| {
        text.replace("boss@", "chief@")
            + "[instance]\ntype = \"c7i.xlarge\"\n[meetings]\ndrain = \"20m\"\n[network]\nssh_from = [\"198.51.100.0/24\"]\n"
    });
    jitsi.write_certificate("jitsi.example.org");
    for stage in ["instances", "lb", "monitoring"] {
        runs.push(jitsi.succeed(&["setup", stage]));
    }
    drift::tidy(&sdk).await;
    runs.push(jitsi.succeed(&["setup"])); // looks at everything
    let zone = hosted_zone(&sdk).await;
    jitsi.configure(|text| {
        let own = text.split("[certificate]").next().unwrap();
        format!(
            "{own}[certificate]\nmode = \"request\"\n[agent]\nbinary = \"agent\"\n[dns]\nhosted_zone = \"{zone}\"\n"
        )
    });
    runs.push(jitsi.succeed(&["setup", "lb"]));
    runs.push(jitsi.succeed(&["setup", "delete", "--keep-iam"]));

    let calls = runs.iter().flat_map(Run::calls).chain(harms);
    let called: BTreeSet<String> = calls.map(|call| action(&call)).collect();
    let unseen: BTreeSet<String> = UNSEEN.iter().map(|(action, _)| (*action).to_owned()).collect();
    let missing: Vec<_> = called.difference(&allowed).collect();
    assert!(missing.is_empty(), "called, but not allowed: {missing:#?}");
    let superfluous: Vec<_> =
        allowed.difference(&called).filter(|action| !unseen.contains(*action)).collect();
    assert!(superfluous.is_empty(), "allowed, but never called: {superfluous:#?}");
}

/// An administrator the emulator knows, so that enforcement lets it do everything.
async fn administrator(emulator: &Emulator) -> Account {
    let root = emulator.account().await;
    let iam = Client::new(&root.sdk());
    iam.create_user().user_name("admin").send().await.unwrap();
    iam.put_user_policy()
        .user_name("admin")
        .policy_name("all")
        .policy_document(allow(&json!(["*"])).to_string())
        .send()
        .await
        .unwrap();
    let key = iam.create_access_key().user_name("admin").send().await.unwrap();
    let key = key.access_key().unwrap();
    Account {
        access_key: key.access_key_id().into(),
        secret_key: key.secret_access_key().into(),
        token: None,
        ..root
    }
}

fn allow(actions: &Value) -> Value {
    let statement = json!({ "Effect": "Allow", "Action": actions, "Resource": "*" });
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

/// A hosted zone for the domain, with an id such as AWS gives.
async fn hosted_zone(sdk: &aws_config::SdkConfig) -> String {
    let route53 = aws_sdk_route53::Client::new(sdk);
    for attempt in 0..2000 {
        let zone = route53
            .create_hosted_zone()
            .name("jitsi.example.org")
            .caller_reference(attempt.to_string())
            .send()
            .await
            .unwrap();
        let id = zone.hosted_zone().unwrap().id().trim_start_matches("/hostedzone/").to_owned();
        if id.starts_with('Z') {
            return id;
        }
    }
    panic!("the emulator gives no id that begins with Z, as AWS's do");
}

/// Drops resources and conditions from the deployer's policies; returns all allowed actions.
async fn widen(iam: &Client) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    let policies = iam.list_policies().scope(PolicyScopeType::Local).send().await.unwrap();
    for policy in policies.policies() {
        let (arn, version) = (policy.arn().unwrap(), policy.default_version_id().unwrap());
        let version =
            iam.get_policy_version().policy_arn(arn).version_id(version).send().await.unwrap();
        let document = decode(version.policy_version().unwrap().document().unwrap());
        let mut actions = BTreeSet::new();
        for statement in document["Statement"].as_array().unwrap() {
            let of_statement = statement["Action"].as_array().unwrap().iter();
            actions.extend(of_statement.map(|action| action.as_str().unwrap().to_owned()));
        }
        iam.create_policy_version()
            .policy_arn(arn)
            .policy_document(allow(&json!(actions)).to_string())
            .set_as_default(true)
            .send()
            .await
            .unwrap();
        allowed.extend(actions);
    }
    allowed
}

/// The IAM action of a call (Service Authorization Reference).
fn action(call: &Call) -> String {
    let prefix = match call.service.as_str() {
        "ACM" => "acm",
        "Auto Scaling" => "autoscaling",
        "CloudWatch" => "cloudwatch",
        "EC2" => "ec2",
        "Elastic Load Balancing v2" => "elasticloadbalancing",
        "EventBridge" => "events",
        "fis" => "fis",
        "IAM" => "iam",
        "Route 53" => "route53",
        "S3" => "s3",
        "SNS" => "sns",
        "SSM" => "ssm",
        "STS" => "sts",
        "Resource Groups Tagging API" => "tag",
        other => panic!("whose actions are those of {other}?"),
    };
    let operation = match (prefix, call.operation.as_str()) {
        ("s3", "HeadBucket" | "ListObjectsV2") => "ListBucket",
        ("s3", "ListObjectVersions") => "ListBucketVersions",
        ("s3", "HeadObject") => "GetObject",
        ("s3", "DeleteObjects") => "DeleteObject",
        ("s3", "GetPublicAccessBlock") => "GetBucketPublicAccessBlock",
        ("s3", "PutPublicAccessBlock") => "PutBucketPublicAccessBlock",
        ("s3", "GetBucketEncryption") => "GetEncryptionConfiguration",
        ("s3", "PutBucketEncryption") => "PutEncryptionConfiguration",
        (_, operation) => operation,
    };
    format!("{prefix}:{operation}")
}
