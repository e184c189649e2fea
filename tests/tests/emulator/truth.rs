//! What `plan` and `setup` say is so: the instance that runs is compared, what cannot be done is refused
//! before anything is written, and nothing is put down to somebody else.

use std::thread;

use aws_config::SdkConfig;
use aws_sdk_autoscaling::Client as Scaling;
use aws_sdk_ec2::types::RequestLaunchTemplateData;
use jitsi_aws_tests::{
    deployment::{Deployment, Run},
    emulator::{Account, Emulator},
    hints, inventory,
};

use crate::harm;

async fn deployment() -> (Deployment, SdkConfig) {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    (Deployment::new(account, "jitsi"), sdk)
}

const REPLACE: &str = "`aws autoscaling start-instance-refresh --auto-scaling-group-name jitsi \
                       --region eu-central-1 --profile jitsi-aws-jitsi`";

#[tokio::test]
async fn the_instance_that_runs_is_compared_with_the_next_one() {
    let (jitsi, _) = deployment().await;
    jitsi.succeed(&["setup", "all"]);
    jitsi.configure(|text| format!("{text}[instance]\ntype = \"c7i.xlarge\"\n"));
    assert_eq!(jitsi.run(&["setup", "instances"]).code, 0);
    jitsi.configure(|text| format!("{text}[instance]\ntype = \"c7i.xlarge\"\ndisk_gib = 30\n"));
    let setup = jitsi.run(&["setup", "instances"]);
    let plan = jitsi.run(&["plan"]);
    assert_eq!(plan.code, 0, "nothing is left to set up:\n{}", plan.stdout);
    for said in [&setup.stderr, &plan.stdout, &jitsi.run(&["setup"]).stderr] {
        assert!(said.contains("runs as version 1 of the launch template made it"), "{said}");
        assert!(said.contains("UTC the next one is made by version 3: "), "{said}");
        assert!(said.contains("instance type t3.large, next c7i.xlarge; root volume 20"), "{said}");
        assert!(said.contains(REPLACE), "{said}");
    }
    assert!(!plan.stderr.contains("everything is as it should be"), "{}", plan.stderr);

    // The command that was named, with the rights that were named.
    let deployer = Scaling::new(&harm::deployer(&jitsi));
    deployer.start_instance_refresh().auto_scaling_group_name("jitsi").send().await.unwrap();
    let plan = jitsi.run(&["plan"]);
    assert!(
        plan.stderr.contains("everything is as it should be"),
        "{}{}",
        plan.stdout,
        plan.stderr
    );
    assert_eq!(jitsi.succeed(&["setup", "instances"]).writes(), []);
}

#[tokio::test]
async fn what_cannot_be_changed_in_place_is_refused_by_plan() {
    let (jitsi, sdk) = deployment().await;
    jitsi.succeed(&["setup", "all"]);
    let complete = inventory::take(&sdk).await;
    for (key, setting, fields) in [
        ("[network] cidr", "cidr = \"10.30.0.0/16\"", 3),
        ("[network] zones", "zones = [\"eu-central-1b\", \"eu-central-1c\"]", 1),
    ] {
        // Beside what could be done.
        jitsi.configure(|text| {
            format!("{text}[network]\n{setting}\nssh_from = [\"198.51.100.0/24\"]\n")
        });
        let plan = jitsi.run(&["plan"]);
        assert_eq!(plan.code, 1, "{}", plan.stdout);
        assert_eq!(plan.stdout.matches("AWS cannot change").count(), fields, "{}", plan.stdout);
        assert!(plan.stdout.contains(&format!("{key} asks for")), "{}", plan.stdout);
        assert!(plan.stdout.contains(&format!("set {key} in jitsi.toml back")), "{}", plan.stdout);
        assert!(!plan.stderr.contains("next:"), "{}", plan.stderr);

        let setup = jitsi.run(&["setup", "all", "--json", "-v"]);
        assert_eq!(setup.code, 1, "{}", setup.stderr);
        assert_eq!(setup.writes(), [], "{key}");
        assert!(setup.stdout.contains("AWS cannot change"), "{}", setup.stdout);
    }
    inventory::assert_same(&inventory::take(&sdk).await, &complete, "nothing was touched");
}

#[tokio::test]
async fn what_aws_does_not_have_is_refused_before_the_first_write() {
    let (jitsi, sdk) = deployment().await;
    let zone = crate::privileges::hosted_zone(&sdk).await;
    jitsi.write_certificate("meet.example.net");
    let arn = format!("arn:aws:acm:eu-central-1:{}:certificate/0", jitsi.account.id);
    let import = "mode = \"import\"\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"\nchain = \"chain.pem\"";
    let wrong = |setting: &str| setting.to_owned();
    for (setting, words, key) in [
        (
            wrong("[instance]\ntype = \"c99.huge\""),
            "no instance type `c99.huge`",
            "[instance] type",
        ),
        (
            wrong("[instance]\nimage = \"ami-0fffffffffffffff0\""),
            "no image ami-0fffffffffffffff0",
            "[instance] image",
        ),
        (
            wrong("[network]\nzones = [\"eu-central-1a\", \"eu-central-1x\"]"),
            "eu-central-1x",
            "zones",
        ),
        (
            wrong("[dns]\nhosted_zone = \"Z0NOWHERE\""),
            "no hosted zone Z0NOWHERE",
            "[dns] hosted_zone",
        ),
        (
            format!("[dns]\nhosted_zone = \"{zone}\""),
            "is of jitsi.example.org",
            "[dns] hosted_zone",
        ),
        (
            format!("mode = \"existing\"\narn = \"{arn}\""),
            "no certificate arn:",
            "[certificate] arn",
        ),
    ] {
        jitsi.configure(|text| {
            let text = text.replace("jitsi.example.org", "meet.example.net");
            let section = setting.starts_with('[');
            if section { format!("{text}{setting}\n") } else { text.replace(import, &setting) }
        });
        let plan = jitsi.run(&["plan"]);
        assert_eq!(plan.code, 1, "{setting}:\n{}{}", plan.stdout, plan.stderr);
        assert!(plan.stdout.contains(words), "{setting}:\n{}", plan.stdout);
        let setup = jitsi.run(&["setup", "all", "--json", "-v"]);
        assert_eq!(setup.code, 1, "{setting}: {}", setup.stderr);
        assert_eq!(setup.writes(), [], "{setting}");
        let error = setup.document()["result"].clone();
        assert!(error["what"].as_str().unwrap().contains(words), "{error}");
        assert!(error["hint"].as_str().unwrap().contains(key), "{error}");
    }
}

#[tokio::test]
async fn an_endpoint_is_not_a_matter_of_credentials() {
    let (jitsi, _) = deployment().await;
    for (name, url, words) in [
        ("AWS_ENDPOINT_URL", "banana", "AWS_ENDPOINT_URL is `banana`, which is not the address"),
        ("AWS_ENDPOINT_URL_EC2", "localhost:1", "AWS_ENDPOINT_URL_EC2 is `localhost:1`"),
    ] {
        let run = Run::of(jitsi.command(&["plan"]).env(name, url));
        assert_eq!(run.code, 1, "{}", run.stderr);
        assert!(run.stderr.contains(words), "{}", run.stderr);
        assert!(!run.stderr.contains("credentials"), "{}", run.stderr);
    }
}

/// Nothing answers, for a reason of each kind, at an address that was chosen in each way.
#[tokio::test]
async fn who_chose_an_endpoint_that_does_not_answer_is_told_so() {
    let (jitsi, _) = deployment().await;
    // A label of a name has 63 characters at most: that one is in no DNS is known without asking.
    let (refuses, unknown) = ("http://127.0.0.1:9", format!("http://{}.invalid:9", "x".repeat(64)));
    let refused = "nothing listens there (connection refused)";
    std::fs::write(jitsi.path("aws-config"), format!("[default]\nendpoint_url = {refuses}\n"))
        .unwrap();
    let rows = [
        ("AWS_ENDPOINT_URL", refuses, refused),
        ("AWS_ENDPOINT_URL_STS", refuses, refused),
        ("AWS_ENDPOINT_URL", unknown.as_str(), "its name is not in the DNS"),
        ("AWS_ENDPOINT_URL", "http://user:hunter2@127.0.0.1:9", refused),
        ("endpoint_url of the profile", refuses, refused),
    ];
    let run = &|name: &str, url: &str| {
        let mut command = jitsi.command(&["plan"]);
        command.env_remove("AWS_ENDPOINT_URL");
        if name.starts_with("AWS") {
            command.env("AWS_CONFIG_FILE", jitsi.path("none")).env(name, url);
        }
        Run::of(&mut command)
    };
    // All at once: each tries on for a while.
    let runs: Vec<Run> = thread::scope(|scope| {
        let started = rows.map(|(name, url, _)| scope.spawn(move || run(name, url)));
        started.into_iter().map(|run| run.join().unwrap()).collect()
    });
    for ((name, url, why), run) in rows.into_iter().zip(runs) {
        assert_eq!(run.code, 1, "{}", run.stderr);
        assert!(
            run.stderr.contains("asking AWS who we are: ") && run.stderr.contains(why),
            "{}",
            run.stderr
        );
        let url = url.replace("user:hunter2@", "");
        assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
        let hint =
            format!("hint: calls to AWS go to {url}, as {name} says: see what answers there");
        assert!(run.stderr.contains(&hint), "{}", run.stderr);
        for other in ["credentials", "os error", "region"] {
            assert!(!run.stderr.contains(other), "{other}: {}", run.stderr);
        }
    }
}

/// What somebody has changed so that it no longer says what it should is told with a way out, and put right.
#[tokio::test]
async fn what_no_longer_says_what_it_should_is_no_dead_end() {
    let (jitsi, sdk) = deployment().await;
    jitsi.succeed(&["setup", "all"]);
    let ec2 = aws_sdk_ec2::Client::new(&sdk);
    let data = RequestLaunchTemplateData::builder().instance_type("t3.small".into()).build();
    let call = ec2.create_launch_template_version().launch_template_name("jitsi");
    call.launch_template_data(data).send().await.unwrap();
    let call = ec2.modify_launch_template().launch_template_name("jitsi");
    call.default_version("2").send().await.unwrap();
    let plan = jitsi.run(&["plan"]);
    assert_eq!(plan.code, 3, "a version without an image:\n{}{}", plan.stdout, plan.stderr);
    jitsi.succeed(&["setup", "instances"]);
    assert_eq!(jitsi.run(&["plan"]).code, 0);

    let cloudwatch = aws_sdk_cloudwatch::Client::new(&sdk);
    let call = cloudwatch.put_dashboard().dashboard_name("jitsi-eu-central-1");
    call.dashboard_body("{\"widgets\":[]}").send().await.unwrap();
    let plan = jitsi.run(&["plan"]);
    let said = format!("{}{}", plan.stdout, plan.stderr).replace('\n', " ");
    assert_eq!(plan.code, 1, "{said}");
    let delete = "`aws cloudwatch delete-dashboards --dashboard-names jitsi-eu-central-1";
    assert!(said.contains(delete) && !said.contains("[deployment] name"), "{said}");
}

#[tokio::test]
async fn rights_that_stage_00_takes_do_not_come_with_stage_00() {
    let (mut jitsi, sdk) = deployment().await;
    let iam = aws_sdk_iam::Client::new(&sdk);
    iam.create_user().user_name("weak").send().await.unwrap();
    let key = iam.create_access_key().user_name("weak").send().await.unwrap();
    let key = key.access_key().unwrap();
    jitsi.account = Account {
        access_key: key.access_key_id().into(),
        secret_key: key.secret_access_key().into(),
        token: None,
        ..jitsi.account.clone()
    };
    let refused = jitsi.run(&["setup", "iam"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("weak (credentials of the environment) may not do that"));
    let hints = hints::commands(&refused);
    assert_eq!(hints, ["jitsi-aws setup iam --profile ADMIN"], "{}", refused.stderr);
}

#[tokio::test]
async fn another_domain_is_felt_at_once_and_is_nobody_s_doing() {
    let (jitsi, _) = deployment().await;
    jitsi.succeed(&["setup", "all"]);
    jitsi.configure(|text| text.replace("jitsi.example.org", "meet.example.org"));
    jitsi.write_certificate("meet.example.org");
    let plan = jitsi.run(&["plan"]);
    assert_eq!(plan.code, 3, "{}", plan.stderr);
    let said = &plan.stdout;
    assert!(
        said.contains("users: at once nobody can meet at jitsi.example.org any more"),
        "{said}"
    );
    assert!(
        said.contains("users: at once browsers keep out who comes by jitsi.example.org"),
        "{said}"
    );
    assert!(!said.contains("nothing yet"), "{said}");
    assert!(!said.contains("somebody"), "{said}");
    // Beside it, or on lines of their own below it.
    let blocks = said.replace("\n     ", " ");
    for line in blocks.lines().filter(|line| line.contains("dashboard") || line.contains("rule")) {
        assert!(line.contains("jitsi.example.org") && line.contains("meet.example.org"), "{line}");
    }
    let setup = jitsi.run(&["setup", "all"]);
    assert!(setup.stderr.contains("nobody can meet at https://meet.example.org until then"));
}

#[tokio::test]
async fn the_first_address_takes_no_further_rights() {
    let (jitsi, _) = deployment().await;
    jitsi.configure(|text| text.split("[monitoring]").next().unwrap().to_owned());
    jitsi.succeed(&["setup", "all"]);
    jitsi.configure(str::to_owned);
    let plan = jitsi.run(&["plan", "monitoring"]);
    assert_eq!(hints::commands(&plan), ["jitsi-aws setup monitoring"], "{}", plan.stderr);
    jitsi.succeed(&["setup", "monitoring"]);
    assert_eq!(jitsi.run(&["plan"]).code, 0, "nor does anything change about them");
}

#[tokio::test]
async fn what_takes_further_rights_says_so_in_its_plan() {
    let (jitsi, sdk) = deployment().await;
    jitsi.succeed(&["setup", "all"]);
    let iam = aws_sdk_iam::Client::new(&sdk);
    let arn = format!("arn:aws:iam::{}:policy/jitsi-aws/jitsi-lb", jitsi.account.id);
    let poorer = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*",
        "Action":["elasticloadbalancing:Describe*","acm:Describe*","acm:List*","acm:Get*",
        "s3:GetBucket*","s3:GetEncryptionConfiguration"]}]}"#;
    iam.create_policy_version()
        .policy_arn(arn)
        .policy_document(poorer)
        .set_as_default(true)
        .send()
        .await
        .unwrap();
    jitsi.write_certificate("jitsi.example.org");
    let plan = jitsi.run(&["plan", "lb"]);
    assert_eq!(plan.code, 3, "{}{}", plan.stdout, plan.stderr);
    let waited = |line: &&str| line.contains("looking for what exists") && line.contains("min");
    assert_eq!(plan.stderr.lines().find(waited), None, "for a lease that it may not read");
    assert!(plan.stderr.contains("the deployer's rights must change first"), "{}", plan.stderr);
    let told = hints::commands(&plan);
    assert_eq!(told, ["jitsi-aws setup iam", "jitsi-aws setup lb"], "{}", plan.stderr);
}
