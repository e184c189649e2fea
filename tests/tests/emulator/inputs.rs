//! What is refused, and the words it is refused with: flags, credentials, files, foreign resources.
//! Where the problem is local, no call is made. (`tests/config` has the table for `jitsi.toml`.)

use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
use jitsi_aws_tests::{
    deployment::{Deployment, Run},
    emulator::Emulator,
};

/// The whole of what a person sees, without this run's own paths and ids.
fn seen(jitsi: &Deployment, run: &Run) -> String {
    let directory = jitsi.path("").display().to_string();
    let text = format!("exit code {}\n{}{}", run.code, run.stdout, run.stderr);
    text.replace(&jitsi.account.id, "123456789012").replace(directory.trim_end_matches('/'), "DIR")
}

macro_rules! refused {
    ($jitsi:expr, $name:literal, $run:expr) => {{
        let run = $run;
        assert_ne!(run.code, 0, "{}", run.stderr);
        insta::with_settings!({ filters => vec![(r"[0-9]+\.[0-9] s", "TIME"), (r"(vpc|sg|igw)-[0-9a-f]+", "$1-ID")] }, {
            insta::assert_snapshot!($name, seen($jitsi, &run));
        });
    }};
}

#[tokio::test]
async fn local_problems_are_told_before_the_first_call() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    // Nobody listens there: a call would be seen as an error of another kind.
    let run = |arguments: &[&str]| {
        Run::of(jitsi.command(arguments).env("AWS_ENDPOINT_URL", "http://127.0.0.1:9"))
    };
    refused!(&jitsi, "unknown-stage", run(&["setup", "everything"]));
    refused!(&jitsi, "unknown-flag", run(&["plan", "--regoin", "eu-central-1"]));
    refused!(&jitsi, "bad-region-flag", run(&["plan", "--region", "Frankfurt"]));
    refused!(&jitsi, "no-configuration", run(&["plan", "--config", "nowhere.toml"]));
    let unnamed = Run::of(jitsi.command(&["plan"]).env("JITSI_AWS_CONFIG", ""));
    assert!(unnamed.stderr.contains("JITSI_AWS_CONFIG is set and empty"), "{}", unnamed.stderr);
    refused!(&jitsi, "configuration-exists", run(&["init", "--name", "x"]));
    refused!(&jitsi, "nobody-to-ask", run(&["init", "--config", "new.toml"]));
    refused!(
        &jitsi,
        "bad-answers",
        run(&[
            "init",
            "--config",
            "new.toml",
            "--name",
            "Jitsi!",
            "--region",
            "eu",
            "--domain",
            "localhost",
            "--certificate-arn",
            "arn:nonsense",
            "--email",
            "me"
        ])
    );
    refused!(&jitsi, "certificate-without-key", run(&["init", "--certificate", "cert.pem"]));

    jitsi.write_certificate("other.example.org");
    refused!(&jitsi, "certificate-of-another-domain", run(&["setup", "lb"]));
    std::fs::remove_file(jitsi.path("agent")).expect("the agent");
    refused!(&jitsi, "several-files-wrong", run(&["setup", "all"]));
    std::fs::write(jitsi.path("jitsi.toml"), "[deployment\n").expect("jitsi.toml");
    refused!(&jitsi, "no-toml", run(&["setup"]));
}

#[tokio::test]
async fn credentials_that_cannot_be_used() {
    let jitsi = Deployment::new(Emulator::shared().account().await, "jitsi");
    refused!(&jitsi, "unknown-profile", jitsi.run(&["plan", "--profile", "nobody"]));
    let mut command = jitsi.command(&["plan"]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    refused!(&jitsi, "no-credentials", Run::of(&mut command));
}

#[tokio::test]
async fn what_is_somebody_elses_is_named_and_left_alone() {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let jitsi = Deployment::new(account, "jitsi");
    aws_sdk_iam::Client::new(&sdk)
        .create_role()
        .role_name("jitsi-instance")
        .assume_role_policy_document("{}")
        .send()
        .await
        .expect("somebody's role");
    let mut run = jitsi.run(&["setup", "iam"]);
    // What ran beside it finishes in any order.
    run.stderr = run.stderr.split_off(run.stderr.find("error:").expect("an error"));
    refused!(&jitsi, "foreign-role", run);
}

#[tokio::test]
async fn a_twin_is_named() {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    let jitsi = Deployment::new(account, "jitsi");
    jitsi.succeed(&["setup", "iam"]);
    let ec2 = aws_sdk_ec2::Client::new(&sdk);
    for _ in 0..2 {
        let tag = |key: &str| Tag::builder().key(key).value("jitsi").build();
        let tags = TagSpecification::builder()
            .resource_type(ResourceType::Vpc)
            .tags(tag("jitsi-aws:deployment"))
            .tags(tag("Name"))
            .build();
        ec2.create_vpc().cidr_block("10.20.0.0/16").tag_specifications(tags).send().await.unwrap();
    }
    let run = jitsi.run(&["setup", "instances"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("there are two: vpc-"), "{}", run.stderr);
}
