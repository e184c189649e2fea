//! What an instance is made of: which image is taken and kept, and the key that encrypts its volume.

use aws_config::SdkConfig;
use aws_sdk_ec2::types::{LaunchTemplateVersion, ResponseLaunchTemplateData};
use jitsi_aws_tests::{
    deployment::Deployment,
    emulator::{Account, Emulator},
};

const NOBLE: &str = "ami-0b1e00000000a0002";
const UNPROVEN: &str = "is unproven: what is proven end to end is Debian 13 and Debian 12";

async fn deployment(name: &str) -> (Deployment, Account) {
    let account = Emulator::shared().account().await;
    (Deployment::new(account.clone(), name), account)
}

/// The image the next instance is made of, by its name.
async fn image(account: &Account) -> String {
    let ec2 = aws_sdk_ec2::Client::new(&account.sdk());
    let templates = ec2.describe_launch_templates().send().await.unwrap();
    let id = templates.launch_templates()[0].launch_template_id().unwrap();
    let versions = ec2
        .describe_launch_template_versions()
        .launch_template_id(id)
        .versions("$Default")
        .send()
        .await
        .unwrap();
    let data = versions.launch_template_versions().first();
    let data = data.and_then(LaunchTemplateVersion::launch_template_data);
    let id = data.and_then(ResponseLaunchTemplateData::image_id).unwrap();
    let images = ec2.describe_images().image_ids(id).send().await.unwrap();
    images.images()[0].name().unwrap().to_owned()
}

fn with_image(jitsi: &Deployment, image: &str) {
    jitsi.configure(|text| format!("{text}\n[instance]\nimage = \"{image}\"\n"));
}

fn scaling_role(account: &str) -> String {
    let path = "aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling";
    format!("arn:aws:iam::{account}:role/{path}")
}

/// Makes a customer key the account's default for volumes; its ARN.
pub(crate) async fn customers_key(sdk: &SdkConfig) -> String {
    let key = aws_sdk_kms::Client::new(sdk).create_key().send().await.unwrap();
    let key = key.key_metadata().unwrap().arn().unwrap().to_owned();
    let ec2 = aws_sdk_ec2::Client::new(sdk);
    ec2.modify_ebs_default_kms_key_id().kms_key_id(&key).send().await.unwrap();
    key
}

/// What the command says that `setup` prints.
pub(crate) async fn grant(sdk: &SdkConfig, key: &str, account: &str) {
    let operations = [
        "Encrypt",
        "Decrypt",
        "ReEncryptFrom",
        "ReEncryptTo",
        "GenerateDataKey",
        "GenerateDataKeyWithoutPlaintext",
        "DescribeKey",
        "CreateGrant",
    ];
    aws_sdk_kms::Client::new(sdk)
        .create_grant()
        .key_id(key)
        .grantee_principal(scaling_role(account))
        .set_operations(Some(operations.map(Into::into).to_vec()))
        .send()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_deployment_on_ubuntu_stays_there_until_debian_is_asked_for() {
    let (jitsi, account) = deployment("ubuntu").await;
    with_image(&jitsi, NOBLE);
    jitsi.succeed(&["setup", "iam"]);
    let plan = jitsi.run(&["plan"]);
    assert_eq!(plan.stderr.matches(UNPROVEN).count(), 1, "{}", plan.stderr);
    let made = jitsi.run(&["--yes", "setup", "instances"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert_eq!(made.stderr.matches(UNPROVEN).count(), 1, "{}", made.stderr);

    jitsi.configure(str::to_owned);
    let plan = jitsi.run(&["plan", "instances"]);
    assert_eq!(plan.code, 0, "nothing changes by itself:\n{}", plan.stdout);
    assert_eq!(plan.stderr.matches(UNPROVEN).count(), 1, "{}", plan.stderr);
    assert!(plan.stderr.contains("[instance] image = \"debian-13\" takes the newest"));

    for (asked, taken) in [
        ("debian-13", "debian-13-amd64-20261020-2272"),
        ("debian-12", "debian-12-amd64-20261020-2273"),
    ] {
        with_image(&jitsi, asked);
        let plan = jitsi.run(&["plan", "instances"]);
        assert_eq!(plan.code, 3, "{}", plan.stdout);
        jitsi.succeed(&["setup", "instances"]);
        assert_eq!(image(&account).await, taken);
        let plan = jitsi.run(&["plan", "instances"]);
        assert_eq!(plan.code, 0, "{}", plan.stdout);
        assert!(!plan.stderr.contains("unproven"), "{}", plan.stderr);
    }
    jitsi.configure(str::to_owned);
    assert_eq!(jitsi.run(&["plan", "instances"]).code, 0, "Debian 12 is official, too");
}

#[tokio::test]
async fn a_change_to_an_unproven_image_is_told_of_before_and_when_it_is_made() {
    let (jitsi, _) = deployment("changed").await;
    jitsi.succeed(&["setup", "iam"]);
    jitsi.succeed(&["setup", "instances"]);
    with_image(&jitsi, NOBLE);
    for (line, code) in [(&["plan"][..], 3), (&["--yes", "setup", "instances"], 0)] {
        let run = jitsi.run(line);
        assert_eq!(run.code, code, "{}", run.stderr);
        assert_eq!(run.stderr.matches(UNPROVEN).count(), 1, "{line:?}: {}", run.stderr);
    }
}

#[tokio::test]
async fn an_agent_that_cannot_start_is_refused_before_the_first_call() {
    let (jitsi, _) = deployment("agent").await;
    let run = |arguments: &[&str]| {
        let mut command = jitsi.command(arguments);
        command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9"); // nobody listens there
        jitsi_aws_tests::deployment::Run::of(&mut command)
    };
    jitsi.configure(|text| format!("{text}\n[instance]\ntype = \"t4g.large\"\n"));
    let refused = run(&["plan"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("built for x86_64, but t4g.large"), "{}", refused.stderr);
    assert!(refused.stderr.contains("scripts/build-agent aarch64"), "{}", refused.stderr);
}

#[tokio::test]
async fn a_customers_default_key_needs_a_grant_which_is_said_before_the_launch() {
    let (jitsi, account) = deployment("keys").await;
    let sdk = account.sdk();
    let key = customers_key(&sdk).await;
    jitsi.succeed(&["setup", "iam"]);

    let refused = jitsi.run(&["--yes", "setup", "instances"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    let role = scaling_role(&account.id);
    let command = format!("--key-id {key} --grantee-principal {role} --operations");
    assert!(refused.stderr.contains("which Auto Scaling may not use"), "{}", refused.stderr);
    assert!(refused.stderr.contains(&command), "{}", refused.stderr);
    let groups = aws_sdk_autoscaling::Client::new(&sdk);
    let groups = groups.describe_auto_scaling_groups().send().await.unwrap();
    assert!(groups.auto_scaling_groups().is_empty(), "nothing was launched");

    grant(&sdk, &key, &account.id).await;
    jitsi.succeed(&["setup", "instances"]);

    let kms = aws_sdk_kms::Client::new(&sdk);
    let id = key.rsplit('/').next().unwrap(); // the emulator takes no ARN here
    kms.disable_key().key_id(id).send().await.unwrap();
    with_image(&jitsi, "debian-12"); // a change, which would launch by it
    let refused = jitsi.run(&["--yes", "setup", "instances"]);
    assert!(refused.stderr.contains("which is Disabled"), "{}", refused.stderr);
}
