//! The DNS records of domains that are no longer configured: none of ours is left behind where we may change
//! it, and where we may not, it is told which one, in which zone, and what deletes it.

use aws_config::SdkConfig;
use aws_sdk_route53::{
    Client,
    types::{
        AliasTarget, Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType,
    },
};
use jitsi_aws_tests::{
    deployment::{Deployment, Run},
    emulator::Emulator,
    hints,
};
use serde_json::Value;

use crate::privileges::hosted_zone;

const OLD: &str = "jitsi.example.org";
const NEW: &str = "meet.jitsi.example.org";

async fn deployment() -> (Deployment, SdkConfig) {
    let account = Emulator::shared().account().await;
    let sdk = account.sdk();
    (Deployment::new(account, "jitsi"), sdk)
}

fn configure(jitsi: &Deployment, domain: &str, zone: Option<&str>) {
    jitsi.configure(|text| {
        let dns = zone.map(|zone| format!("[dns]\nhosted_zone = \"{zone}\"\n"));
        text.replace(OLD, domain) + &dns.unwrap_or_default()
    });
    jitsi.write_certificate(domain);
}

/// Names of the zone's address records.
async fn aliases(sdk: &SdkConfig, zone: &str) -> Vec<String> {
    let answer = Client::new(sdk).list_resource_record_sets().hosted_zone_id(zone).send().await;
    let answer = answer.unwrap();
    let records =
        answer.resource_record_sets().iter().filter(|record| *record.r#type() == RrType::A);
    records.map(|record| record.name().trim_end_matches('.').to_owned()).collect()
}

async fn change(sdk: &SdkConfig, zone: &str, action: ChangeAction, record: ResourceRecordSet) {
    let change = Change::builder().action(action).resource_record_set(record).build().unwrap();
    let batch = ChangeBatch::builder().changes(change).build().unwrap();
    let call = Client::new(sdk).change_resource_record_sets().hosted_zone_id(zone);
    call.change_batch(batch).send().await.unwrap();
}

fn printed(run: &Run) -> String {
    format!("{}{}", run.stdout, run.stderr)
}

#[tokio::test]
async fn the_old_domain_s_record_goes_when_the_new_one_is_there() {
    let (jitsi, sdk) = deployment().await;
    let zone = hosted_zone(&sdk).await;
    configure(&jitsi, OLD, Some(&zone));
    jitsi.succeed(&["setup", "all"]);
    assert_eq!(aliases(&sdk, &zone).await, [OLD]);
    assert_eq!(jitsi.succeed(&["setup", "all"]).writes(), []);

    configure(&jitsi, NEW, Some(&zone));
    let plan = jitsi.run(&["plan", "lb"]);
    assert_eq!(plan.code, 3, "{}", printed(&plan));
    let line = format!("{OLD} in hosted zone {zone}");
    let deleted = |line: &&str| line.starts_with(" -") && line.contains("DNS record");
    assert!(plan.stdout.lines().find(deleted).unwrap().ends_with(&line), "{}", plan.stdout);
    let setup = jitsi.succeed(&["setup", "lb"]);
    let changes: Vec<String> = setup.changes().into_iter().map(|call| call.operation).collect();
    let at = |operation: &str| changes.iter().position(|change| change == operation).unwrap();
    assert!(at("ChangeResourceRecordSets") < at("RemoveTags"), "the new one is first: {changes:?}");
    assert_eq!(setup.document()["result"]["deleted"], 1);
    assert_eq!(aliases(&sdk, &zone).await, [NEW]);
    assert_eq!(jitsi.run(&["plan", "lb"]).code, 0, "nothing is left to do");
    assert_eq!(jitsi.succeed(&["setup", "lb"]).writes(), []);

    configure(&jitsi, OLD, Some(&zone)); // and never set up
    jitsi.succeed(&["setup", "delete"]);
    assert_eq!(aliases(&sdk, &zone).await, [""; 0]);
}

#[tokio::test]
async fn a_record_that_leads_elsewhere_by_now_is_left() {
    let (jitsi, sdk) = deployment().await;
    let zone = hosted_zone(&sdk).await;
    configure(&jitsi, OLD, Some(&zone));
    jitsi.succeed(&["setup", "all"]);
    let value = ResourceRecord::builder().value("192.0.2.1").build().unwrap();
    let theirs = ResourceRecordSet::builder().name(OLD).r#type(RrType::A).ttl(60);
    change(&sdk, &zone, ChangeAction::Upsert, theirs.resource_records(value).build().unwrap())
        .await;
    configure(&jitsi, NEW, Some(&zone));
    jitsi.succeed(&["setup", "lb"]);
    assert_eq!(aliases(&sdk, &zone).await, [OLD, NEW]);
    assert_eq!(jitsi.succeed(&["setup", "lb"]).writes(), [], "and is nobody's business any more");
    jitsi.succeed(&["setup", "delete"]);
    assert_eq!(aliases(&sdk, &zone).await, [OLD]);
}

/// What an earlier version has set up: no note.
async fn forget(sdk: &SdkConfig) {
    let elbv2 = aws_sdk_elasticloadbalancingv2::Client::new(sdk);
    let balancers = elbv2.describe_load_balancers().send().await.unwrap();
    let arn = balancers.load_balancers()[0].load_balancer_arn().unwrap();
    let tags = elbv2.describe_tags().resource_arns(arn).send().await.unwrap();
    let keys = tags.tag_descriptions()[0].tags().iter().filter_map(|tag| tag.key());
    let keys: Vec<&str> = keys.filter(|key| key.starts_with("jitsi-aws:alias/")).collect();
    assert_eq!(keys.len(), 1);
    elbv2.remove_tags().resource_arns(arn).tag_keys(keys[0]).send().await.unwrap();
}

#[tokio::test]
async fn a_record_of_an_earlier_version_is_noted_and_then_goes_too() {
    let (jitsi, sdk) = deployment().await;
    let zone = hosted_zone(&sdk).await;
    configure(&jitsi, OLD, Some(&zone));
    jitsi.succeed(&["setup", "all"]);
    forget(&sdk).await;
    let plan = jitsi.run(&["plan", "lb"]);
    assert!(plan.stdout.contains("note at the load balancer missing → there"), "{}", plan.stdout);
    let writes = jitsi.succeed(&["setup", "lb"]).changes();
    assert_eq!(writes.iter().map(|call| call.operation.as_str()).collect::<Vec<_>>(), ["AddTags"]);
    assert_eq!(jitsi.run(&["plan", "lb"]).code, 0);
    configure(&jitsi, NEW, Some(&zone));
    jitsi.succeed(&["setup", "lb"]);
    assert_eq!(aliases(&sdk, &zone).await, [NEW]);
    forget(&sdk).await;
    jitsi.succeed(&["setup", "delete"]);
    assert_eq!(aliases(&sdk, &zone).await, [""; 0], "nor does deleting need a note");
}

/// The command told that begins with these words, as words.
fn told(text: &str, begins: &str) -> Vec<String> {
    let mut quoted = text.split('`').skip(1).step_by(2);
    let command = quoted.find(|quoted| quoted.starts_with(begins));
    hints::words(command.unwrap_or_else(|| panic!("no `{begins}` in {text}")))
}

fn option<'a>(words: &'a [String], name: &str) -> &'a str {
    &words[words.iter().position(|word| word == name).unwrap() + 1]
}

/// Does what the told command does, to the letter.
async fn obey(sdk: &SdkConfig, words: &[String]) {
    let batch: Value = serde_json::from_str(option(words, "--change-batch")).unwrap();
    let record = &batch["Changes"][0]["ResourceRecordSet"];
    assert_eq!(batch["Changes"][0]["Action"], "DELETE");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let kind = RrType::from(record["Type"].as_str().unwrap());
    let set = ResourceRecordSet::builder().name(text(&record["Name"])).r#type(kind);
    let target = &record["AliasTarget"];
    let set = if target.is_object() {
        let alias = AliasTarget::builder()
            .hosted_zone_id(text(&target["HostedZoneId"]))
            .dns_name(text(&target["DNSName"]))
            .evaluate_target_health(target["EvaluateTargetHealth"].as_bool().unwrap());
        set.alias_target(alias.build().unwrap())
    } else {
        let value = text(&record["ResourceRecords"][0]["Value"]);
        let value = ResourceRecord::builder().value(value).build().unwrap();
        set.set_ttl(record["TTL"].as_i64()).resource_records(value)
    };
    let zone = option(words, "--hosted-zone-id");
    change(sdk, zone, ChangeAction::Delete, set.build().unwrap()).await;
}

#[tokio::test]
async fn a_record_in_another_zone_is_told_with_what_deletes_it() {
    let (jitsi, sdk) = deployment().await;
    let (one, two) = (hosted_zone(&sdk).await, hosted_zone(&sdk).await);
    assert_ne!(one, two);
    configure(&jitsi, OLD, Some(&one));
    jitsi.succeed(&["setup", "all"]);
    for zone in [Some(two.as_str()), None] {
        configure(&jitsi, OLD, zone);
        let line =
            format!("the DNS record {OLD} in hosted zone {one} is of an earlier configuration");
        jitsi.succeed(&["setup", "iam"]); // rights on the new zone, and none on the old one
        let before = jitsi.run(&["plan"]);
        jitsi.succeed(&["setup", "all"]);
        let after = jitsi.run(&["plan"]);
        assert_eq!(after.code, 0, "{}", printed(&after));
        for run in [before, jitsi.run(&["setup", "lb"]), after] {
            assert!(printed(&run).contains(&line), "{zone:?}: {}", printed(&run));
            assert!(!run.stdout.lines().any(|line| line.starts_with(" -")), "{}", run.stdout);
        }
        assert_eq!(aliases(&sdk, &one).await, [OLD], "the domain may still be served from there");
    }
    // The second zone was one for a while.
    let run = jitsi.run(&["setup", "lb"]);
    let said = printed(&run).replace('\n', " ");
    let (first, second) = said.split_once(&format!("in hosted zone {two} is of")).unwrap();
    let of_one =
        if first.contains(&format!("in hosted zone {one} is of")) { first } else { second };
    let deletion = told(of_one, "aws route53 change-resource-record-sets");
    assert_eq!(option(&deletion, "--hosted-zone-id"), one);
    obey(&sdk, &deletion).await;
    assert_eq!(aliases(&sdk, &one).await, [""; 0]);
    let forget = told(of_one, "aws elbv2 remove-tags");
    let elbv2 = aws_sdk_elasticloadbalancingv2::Client::new(&sdk);
    let call = elbv2.remove_tags().resource_arns(option(&forget, "--resource-arns"));
    call.tag_keys(option(&forget, "--tag-keys")).send().await.unwrap();
    assert!(!printed(&jitsi.run(&["setup", "lb"])).contains(&one));

    // The administrator may delete in any zone.
    assert_eq!(aliases(&sdk, &two).await, [OLD]);
    jitsi.succeed(&["setup", "delete"]);
    assert_eq!(aliases(&sdk, &two).await, [""; 0]);
}

/// Somebody deleted the load balancer: the next one has another address, and the record leads to the old one.
#[tokio::test]
async fn a_record_that_leads_to_a_load_balancer_that_is_gone_is_told_with_what_deletes_it() {
    let (jitsi, sdk) = deployment().await;
    let zone = hosted_zone(&sdk).await;
    configure(&jitsi, OLD, Some(&zone));
    jitsi.succeed(&["setup", "all"]);
    let elbv2 = aws_sdk_elasticloadbalancingv2::Client::new(&sdk);
    let found = elbv2.describe_load_balancers().names("jitsi").send().await.unwrap();
    let arn = found.load_balancers()[0].load_balancer_arn().unwrap();
    elbv2.delete_load_balancer().load_balancer_arn(arn).send().await.unwrap();

    let refused = jitsi.run(&["setup", "lb"]);
    let said = printed(&refused).replace('\n', " ");
    assert_eq!(refused.code, 1, "{said}");
    assert!(said.contains("a load balancer that is gone"), "{said}");
    assert!(!said.contains("[deployment] name"), "{said}");
    obey(&sdk, &told(&said, "aws route53 change-resource-record-sets")).await;
    assert_eq!(aliases(&sdk, &zone).await, [""; 0]);
    jitsi.succeed(&["setup", "lb"]);
    assert_eq!(aliases(&sdk, &zone).await, [OLD]);
}

/// ACM's validation records in a zone.
async fn validation(sdk: &SdkConfig, zone: &str) -> usize {
    let answer = Client::new(sdk).list_resource_record_sets().hosted_zone_id(zone).send().await;
    let answer = answer.unwrap();
    answer.resource_record_sets().iter().filter(|one| *one.r#type() == RrType::Cname).count()
}

#[tokio::test]
async fn the_validation_record_goes_with_its_certificate_wherever_it_was_made() {
    let (jitsi, sdk) = deployment().await;
    let (one, two) = (hosted_zone(&sdk).await, hosted_zone(&sdk).await);
    let requested = |domain: &str, zone: &str| {
        jitsi.configure(|text| {
            let own = text.split("[certificate]").next().unwrap().replace(OLD, domain);
            let mode = format!("[certificate]\nmode = \"request\"\nhosted_zone = \"{zone}\"\n");
            own + &mode + "[agent]\nbinary = \"agent\"\n"
        });
    };
    requested(OLD, &one);
    jitsi.succeed(&["setup", "all"]);
    assert_eq!([validation(&sdk, &one).await, validation(&sdk, &two).await], [1, 0]);

    requested(OLD, &two);
    jitsi.succeed(&["setup", "all"]);
    assert_eq!([validation(&sdk, &one).await, validation(&sdk, &two).await], [1, 1]);
    let plan = jitsi.run(&["plan"]);
    assert_eq!(plan.code, 0, "{}", printed(&plan));
    let deletion = told(&plan.stdout, "aws route53 change-resource-record-sets");
    assert_eq!(option(&deletion, "--hosted-zone-id"), one, "ACM may still look there");
    assert_eq!(jitsi.succeed(&["setup", "all"]).writes(), []);

    requested(NEW, &two);
    let moved = jitsi.run(&["setup", "lb"]);
    assert_eq!(moved.code, 0, "{}", printed(&moved));
    assert_eq!(validation(&sdk, &two).await, 1, "only the new one's");
    obey(&sdk, &told(&printed(&moved), "aws route53 change-resource-record-sets")).await;
    assert_eq!(validation(&sdk, &one).await, 0);

    // The administrator may delete in any zone.
    requested(NEW, &one);
    jitsi.succeed(&["setup", "all"]);
    assert_eq!([validation(&sdk, &one).await, validation(&sdk, &two).await], [1, 1]);
    jitsi.succeed(&["setup", "delete"]);
    assert_eq!([validation(&sdk, &one).await, validation(&sdk, &two).await], [0, 0]);
}

#[tokio::test]
async fn a_deletion_that_has_no_rights_in_the_old_zone_says_so() {
    let (jitsi, sdk) = deployment().await;
    let zone = hosted_zone(&sdk).await;
    configure(&jitsi, OLD, Some(&zone));
    jitsi.succeed(&["setup", "all"]);
    configure(&jitsi, OLD, None);
    jitsi.succeed(&["setup", "all"]);
    let run = jitsi.run(&["setup", "delete", "--keep-iam", "--yes=jitsi"]);
    assert_eq!(run.code, 1, "{}", printed(&run));
    assert!(run.stderr.contains("1 DNS record of ours may be left"), "{}", run.stderr);
    obey(&sdk, &told(&run.stderr, "aws route53 change-resource-record-sets")).await;
    assert_eq!(aliases(&sdk, &zone).await, [""; 0]);
    jitsi.succeed(&["setup", "delete"]);
}
