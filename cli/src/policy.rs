//! IAM policies derived from what the resources say their calls need: exact actions, narrowed to
//! our own resources where the service supports it; and how to tell two policies apart.

mod implied;

use std::collections::{BTreeMap, BTreeSet};

use jitsi_templates::settings::Authentication;
use serde_json::{Value, json};

use crate::deployments;
use crate::engine::{Drift, Entry, Stage};
use crate::names::Names;
use crate::{lease, leftovers};

/// Longest managed policy, in characters without white space (IAM quotas).
pub const MAX_POLICY: usize = 6_144;

/// What one call, or several on the same thing, must be allowed.
#[derive(Clone, Debug, PartialEq)]
pub struct Permission {
    /// Whether only making, changing or deleting takes it. What looking takes is granted to the
    /// deployer for the IAM part as well, so a look that only serves a change belongs here.
    pub write: bool,
    /// Exact actions, `ec2:CreateVpc`; never a wildcard.
    pub actions: Vec<&'static str>,
    /// ARNs, or `*` where the service cannot be narrowed.
    pub resources: Vec<String>,
    /// `Condition` block, or null.
    pub condition: Value,
}

impl Permission {
    /// Calls that only look, on anything: list and describe actions that cannot be narrowed.
    pub fn read(actions: &[&'static str]) -> Self {
        Self {
            write: false,
            actions: actions.to_vec(),
            resources: vec!["*".into()],
            condition: Value::Null,
        }
    }

    /// Calls that change something, on anything, until [`Permission::on`] narrows them.
    pub fn write(actions: &[&'static str]) -> Self {
        Self { write: true, ..Self::read(actions) }
    }

    /// Narrows to these ARNs.
    #[must_use]
    pub fn on(mut self, resources: impl IntoIterator<Item = String>) -> Self {
        self.resources = resources.into_iter().collect();
        self
    }

    /// Narrows by a `Condition` block, in addition to those given before.
    #[must_use]
    pub fn when(mut self, condition: Value) -> Self {
        match (&mut self.condition, condition) {
            (Value::Object(blocks), Value::Object(more)) => {
                for (operator, keys) in more {
                    match (blocks.get_mut(&operator), keys) {
                        (Some(Value::Object(known)), Value::Object(keys)) => known.extend(keys),
                        (_, keys) => drop(blocks.insert(operator, keys)),
                    }
                }
            }
            (condition, more) => *condition = more,
        }
        self
    }

    /// Narrows to things that already carry our owner tag.
    #[must_use]
    pub fn on_ours(self, names: &Names) -> Self {
        let key = format!("aws:ResourceTag/{}", crate::tags::DEPLOYMENT);
        self.when(json!({ "StringEquals": { key: names.deployment() } }))
    }

    /// The same, action by action.
    fn each(self) -> impl Iterator<Item = Self> {
        self.actions
            .clone()
            .into_iter()
            .map(move |action| Self { actions: vec![action], ..self.clone() })
    }

    /// Narrows to calls that tag what they make with our owner tag.
    #[must_use]
    pub fn tagging_ours(self, names: &Names) -> Self {
        let key = format!("aws:RequestTag/{}", crate::tags::DEPLOYMENT);
        self.when(json!({ "StringEquals": { key: names.deployment() } }))
    }
}

/// What the deployer may do in `stage`, but for what does not fit there: [`home`].
pub fn deployer(catalog: &[Entry], probing: &[Permission], stage: Stage, names: &Names) -> Value {
    let stages = [Stage::Instances, Stage::Lb, Stage::Monitoring];
    let granted = stages.into_iter().flat_map(|of| {
        let permissions = granted(catalog, probing, of, names).into_iter();
        permissions.flat_map(Permission::each).map(move |one| (home(of, &one, names), one))
    });
    let own: Vec<_> = granted.filter(|(home, _)| *home == stage).map(|(_, one)| one).collect();
    document(&own)
}

/// In which stage's policy a right for `of` stands. All stages' policies are attached to the same user, so what would
/// make one longer than IAM takes stands where there is room: looking at load balancing, and at the lease's bucket.
fn home(of: Stage, permission: &Permission, names: &Names) -> Stage {
    let looks = |action: &&str| action.starts_with("elasticloadbalancing:Describe");
    let lease = permission.resources.contains(&names.lease_bucket_arn());
    if lease || permission.actions.iter().all(looks) { Stage::Lb } else { of }
}

/// What the deployer needs for `stage`. What belongs to none is added where there is room: what `probing` from outside
/// and a failover test take, looking at the IAM part, which the deployer may see, never change, looking for
/// deployments; and the lease.
fn granted(
    catalog: &[Entry],
    probing: &[Permission],
    stage: Stage,
    names: &Names,
) -> Vec<Permission> {
    let mut permissions = of_stage(catalog, stage, names);
    if stage == Stage::Monitoring {
        permissions.extend_from_slice(probing);
        let iam = of_stage(catalog, Stage::Iam, names);
        permissions.extend(iam.into_iter().filter(|permission| !permission.write));
        permissions.extend(leftovers::permissions(names));
        permissions.extend(deployments::permissions(names));
    }
    if stage == Stage::Lb {
        permissions.extend(lease::permissions(names));
    }
    permissions
}

/// What whoever runs `setup iam`, and `setup delete` with the IAM part, must be allowed for it.
pub fn admin(catalog: &[Entry], names: &Names) -> Value {
    let mut permissions = of_stage(catalog, Stage::Iam, names);
    permissions.extend(lease::permissions(names));
    permissions.extend(leftovers::permissions(names));
    permissions.extend(leftovers::iam_permissions(names));
    permissions.extend(deployments::permissions(names));
    document(&permissions)
}

fn of_stage(catalog: &[Entry], stage: Stage, names: &Names) -> Vec<Permission> {
    let own = catalog.iter().filter(|entry| entry.key.stage() == stage);
    let mut permissions: Vec<_> = own.flat_map(|entry| entry.resource.permissions(names)).collect();
    permissions.extend(implied::by(&permissions));
    permissions
}

/// What reading the secrets of the site takes: of the instance, and of who probes it from outside.
pub fn site_secrets(names: &Names, authentication: &Authentication) -> Vec<Permission> {
    // A parameter's name may begin with a slash.
    let parameter =
        |name: &str| names.arn("ssm", &format!("parameter/{}", name.trim_start_matches('/')));
    let (action, parameters) = match authentication {
        Authentication::Open => return Vec::new(),
        Authentication::Jwt { secret_parameter, .. } => {
            ("ssm:GetParameter", vec![parameter(secret_parameter)])
        }
        Authentication::SecureDomain { users_path } => {
            let path = parameter(users_path.trim_end_matches('/'));
            ("ssm:GetParametersByPath", vec![format!("{path}/*"), path])
        }
    };
    // AWS's own key for parameters needs no permission; a key of the operator's own does. The
    // encryption context ties it to these parameters (Systems Manager user guide, "How Parameter
    // Store uses KMS").
    let decrypt = Permission::read(&["kms:Decrypt"])
        .on([names.arn("kms", "key/*")])
        .when(json!({ "StringLike": { "kms:EncryptionContext:PARAMETER_ARN": parameters } }));
    vec![Permission::read(&[action]).on(parameters), decrypt]
}

/// A policy document: one statement per set of resources and condition, sorted, nothing twice.
pub fn document(permissions: &[Permission]) -> Value {
    // JSON values have no order of their own; their text has.
    let mut groups: BTreeMap<(BTreeSet<&str>, String), Vec<&Permission>> = BTreeMap::new();
    for permission in permissions {
        let resources = permission.resources.iter().map(String::as_str).collect();
        groups.entry((resources, permission.condition.to_string())).or_default().push(permission);
    }
    let statements = groups.into_iter().map(|((resources, _), group)| {
        let actions: BTreeSet<&str> =
            group.iter().flat_map(|permission| permission.actions.iter().copied()).collect();
        let mut statement = json!({ "Effect": "Allow", "Action": actions, "Resource": resources });
        if let Some(Permission { condition, .. }) = group.first()
            && !condition.is_null()
        {
            statement["Condition"] = condition.clone();
        }
        statement
    });
    json!({ "Version": "2012-10-17", "Statement": statements.collect::<Vec<_>>() })
}

/// Whether two policies say the same, however AWS writes them down: the order of statements, actions
/// and resources means nothing, a list of one is that one, an account is its root's ARN, conditions
/// hold text, and actions have no letter case (IAM user guide, "IAM JSON policy elements reference").
pub fn same(one: &Value, other: &Value) -> bool {
    normal(one) == normal(other)
}

/// How a policy differs from the wanted one, in words: a document is no reading for a person.
pub fn drift(field: &'static str, actual: &Value, wanted: &Value) -> Option<Drift> {
    if same(actual, wanted) {
        return None;
    }
    let (have, want) = (actions(actual), actions(wanted));
    let words = |prefix: &str, actions: Vec<&str>| {
        (!actions.is_empty()).then(|| format!("{prefix} {}", some(&actions)))
    };
    let mut differences: Vec<String> = [
        words("without", want.difference(&have).copied().collect()),
        words("also", have.difference(&want).copied().collect()),
    ]
    .into_iter()
    .flatten()
    .collect();
    if differences.is_empty() {
        let (have, want) = (targets(actual), targets(wanted));
        let on = |prefix: &str, one: &Targets, other: &Targets| {
            let missing = one.difference(other).next()?;
            let of_same = one.difference(other).filter(|(_, on)| *on == missing.1);
            let actions: Vec<&str> = of_same.map(|(action, _)| action.as_str()).collect();
            Some(format!("{prefix} {} on {}", some(&actions), missing.1))
        };
        differences.extend(on("without", &want, &have));
        differences.extend(on("also", &have, &want));
    }
    let actual = if differences.is_empty() {
        "the same actions under other conditions".to_owned()
    } else {
        differences.join("; ")
    };
    let wanted = concat!("what jitsi-aws ", env!("CARGO_PKG_VERSION"), " needs").to_owned();
    Some(Drift { field, actual, wanted, effect: None })
}

/// All actions a policy names.
fn actions(policy: &Value) -> BTreeSet<&str> {
    list(&policy["Statement"])
        .iter()
        .flat_map(|statement| list(&statement["Action"]))
        .filter_map(Value::as_str)
        .collect()
}

/// The first few, and how many there are besides.
fn some(actions: &[&str]) -> String {
    const SHOWN: usize = 4;
    match actions.len().checked_sub(SHOWN) {
        None | Some(0) => actions.join(", "),
        Some(more) => format!("{} and {more} more", actions[..SHOWN].join(", ")),
    }
}

/// Every action with what it is allowed on.
type Targets = BTreeSet<(String, String)>;

fn targets(policy: &Value) -> Targets {
    let statements = list(&policy["Statement"]).iter();
    let pairs = statements.flat_map(|statement| {
        let texts = |field: &str| {
            let texts = list(&statement[field]).iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect::<Vec<_>>()
        };
        let resources = texts("Resource");
        texts("Action").into_iter().flat_map(move |action| {
            resources.clone().into_iter().map(move |resource| (action.clone(), resource))
        })
    });
    pairs.collect()
}

/// A list of one may be written without its brackets.
fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

fn normal(policy: &Value) -> Value {
    let mut statements: Vec<Value> = list(&policy["Statement"]).iter().map(statement).collect();
    statements.sort_by_cached_key(Value::to_string);
    statements.dedup();
    json!({ "Version": policy["Version"], "Statement": statements })
}

/// A statement without its name, which nothing depends on, and with every value as a sorted list.
fn statement(statement: &Value) -> Value {
    let Value::Object(fields) = statement else { return statement.clone() };
    let fields = fields.iter().filter(|(name, _)| *name != "Sid");
    let normal = fields.map(|(name, value)| {
        let value = match name.as_str() {
            "Action" | "NotAction" => texts(value, |action| action.to_ascii_lowercase()),
            "Principal" | "NotPrincipal" if value == "*" => json!({ "AWS": ["*"] }),
            "Principal" | "NotPrincipal" => each_field(value, |one| texts(one, principal)),
            "Condition" => {
                each_field(value, |keys| each_field(keys, |one| texts(one, str::to_owned)))
            }
            _ => texts(value, str::to_owned),
        };
        (name.clone(), value)
    });
    Value::Object(normal.collect())
}

fn each_field(value: &Value, normal: impl Fn(&Value) -> Value) -> Value {
    let Value::Object(fields) = value else { return value.clone() };
    Value::Object(fields.iter().map(|(name, value)| (name.clone(), normal(value))).collect())
}

/// A sorted list of texts, nothing twice: numbers and truth values may be written without quotes.
fn texts(value: &Value, normal: impl Fn(&str) -> String) -> Value {
    let texts: BTreeSet<String> = list(value)
        .iter()
        .map(|one| one.as_str().map_or_else(|| normal(&one.to_string()), &normal))
        .collect();
    json!(texts)
}

/// An account as IAM returns it: the ARN of its root.
fn principal(principal: &str) -> String {
    let arn = principal.strip_suffix(":root").and_then(|arn| arn.strip_prefix("arn:"));
    arn.and_then(|arn| arn.rsplit(':').next()).unwrap_or(principal).to_owned()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::{
        catalog::catalog,
        config::{self, Files, Overrides},
        ha_test::{self, harm},
        names::MAX_DEPLOYMENT_NAME,
    };

    /// The policies of a deployment that uses everything the configuration offers.
    fn policies(region: &str) -> Vec<(Stage, Value)> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jitsi.toml");
        let name = "d".repeat(MAX_DEPLOYMENT_NAME);
        let text = format!(
            r#"
            deployment = {{ name = "{name}", region = "{region}" }}
            site = {{ domain = "meet.example.org" }}
            certificate = {{ mode = "request", hosted_zone = "Z0123456789ABCDEFGHIJ" }}
            monitoring = {{ emails = ["a@example.org", "b@example.org"] }}
            "#
        );
        fs::write(&path, text).unwrap();
        let config = load(&path);
        let names = Names::new(&name, region, "123456789012");
        let catalog = catalog(&config);
        let stages = [Stage::Instances, Stage::Lb, Stage::Monitoring];
        let failover = [ha_test::permissions(), harm::permissions(&names)].concat();
        stages.map(|stage| (stage, deployer(&catalog, &failover, stage, &names))).into()
    }

    fn load(path: &Path) -> config::Config {
        config::load(path, &Overrides::default(), Files::default()).unwrap().config
    }

    #[test]
    fn the_longest_policies_fit() {
        for region in ["ap-southeast-1", "us-gov-west-1"] {
            for (stage, policy) in policies(region) {
                let size = policy.to_string().chars().filter(|c| !c.is_whitespace()).count();
                assert!(size <= MAX_POLICY, "{stage:?} in {region}: {size} characters");
            }
        }
    }

    #[test]
    fn every_action_is_exact() {
        for (stage, policy) in policies("eu-central-1") {
            for action in actions(&policy) {
                let (service, verb) = action.split_once(':').unwrap();
                let exact = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric());
                assert!(exact(service) && exact(verb), "{stage:?}: {action}");
            }
        }
    }

    // `setup iam` ends only when each policy is seen to work by a call it allows.
    #[test]
    fn what_a_new_key_is_tried_with_is_allowed() {
        let tried = [
            (Stage::Instances, "ec2:DescribeVpcs"),
            (Stage::Lb, "elasticloadbalancing:DescribeLoadBalancers"),
            (Stage::Monitoring, "sns:GetTopicAttributes"),
        ];
        for ((stage, policy), (of, action)) in policies("eu-central-1").iter().zip(tried) {
            assert_eq!(*stage, of);
            assert!(actions(policy).contains(action), "{stage:?}: {action}");
        }
    }

    fn names() -> Names {
        Names::new("jitsi", "eu-central-1", "123456789012")
    }

    #[test]
    fn the_same_resources_and_condition_share_a_statement() {
        let document = document(&[
            Permission::read(&["ec2:DescribeVpcs"]),
            Permission::write(&["ec2:DeleteVpc"]).on_ours(&names()),
            Permission::read(&["ec2:DescribeSubnets", "ec2:DescribeVpcs"]),
        ]);
        assert_eq!(
            document["Statement"],
            json!([
                {
                    "Effect": "Allow",
                    "Action": ["ec2:DescribeSubnets", "ec2:DescribeVpcs"],
                    "Resource": ["*"],
                },
                {
                    "Effect": "Allow",
                    "Action": ["ec2:DeleteVpc"],
                    "Resource": ["*"],
                    "Condition": { "StringEquals": { "aws:ResourceTag/jitsi-aws:deployment": "jitsi" } },
                },
            ])
        );
    }

    #[test]
    fn conditions_add_up() {
        let both = Permission::write(&["iam:PassRole"])
            .on_ours(&names())
            .when(json!({ "StringEquals": { "iam:PassedToService": "ec2.amazonaws.com" } }))
            .when(json!({ "Bool": { "aws:SecureTransport": "true" } }));
        assert_eq!(
            both.condition,
            json!({
                "StringEquals": {
                    "aws:ResourceTag/jitsi-aws:deployment": "jitsi",
                    "iam:PassedToService": "ec2.amazonaws.com",
                },
                "Bool": { "aws:SecureTransport": "true" },
            })
        );
    }

    #[test]
    fn order_and_brackets_are_no_difference() {
        let one = json!({ "Statement": [{ "Action": ["a:B", "a:C"], "Resource": ["*"] }, { "Action": "a:D" }] });
        let other = json!({ "Statement": [{ "Action": ["a:D"] }, { "Action": ["a:C", "a:B"], "Resource": "*" }] });
        assert!(same(&one, &other));
        assert_eq!(drift("permissions", &one, &other), None);
    }

    // What IAM and S3 make of a document between putting and getting it.
    #[test]
    fn a_policy_read_back_normalised_is_the_same() {
        let sent = json!({ "Version": "2012-10-17", "Statement": [{
            "Sid": "Ours", "Effect": "Allow", "Principal": { "AWS": ["123456789012"] },
            "Action": ["sts:AssumeRole"], "Resource": ["b", "a"],
            "Condition": { "Bool": { "aws:SecureTransport": [true] },
                           "NumericLessThan": { "aws:MultiFactorAuthAge": 300 } },
        }] });
        let read = json!({ "Statement": {
            "Condition": { "NumericLessThan": { "aws:MultiFactorAuthAge": "300" },
                           "Bool": { "aws:SecureTransport": "true" } },
            "Resource": ["a", "b"], "Action": "sts:assumerole", "Effect": "Allow",
            "Principal": { "AWS": "arn:aws:iam::123456789012:root" },
        }, "Version": "2012-10-17" });
        assert_eq!(drift("trust", &sent, &read), None);

        let anybody = json!({ "Version": "2012-10-17", "Statement": { "Principal": "*" } });
        let same_anybody =
            json!({ "Version": "2012-10-17", "Statement": [{ "Principal": { "AWS": "*" } }] });
        assert!(same(&anybody, &same_anybody));
    }

    #[test]
    fn what_means_something_else_is_a_difference() {
        let policy = |effect: &str, principal: &str, version: &str| {
            json!({ "Version": version, "Statement": [{
                "Effect": effect, "Principal": { "AWS": principal }, "Action": "s3:GetObject" }] })
        };
        let one = policy("Allow", "123456789012", "2012-10-17");
        assert!(!same(&one, &policy("Deny", "123456789012", "2012-10-17")));
        assert!(!same(&one, &policy("Allow", "210987654321", "2012-10-17")));
        assert!(!same(&one, &policy("Allow", "123456789012", "2008-10-17")));
        assert!(!same(&one, &policy("Allow", "arn:aws:iam::123456789012:user/root", "2012-10-17")));
    }

    #[test]
    fn a_difference_is_told_by_its_actions() {
        let wanted = json!({ "Statement": { "Action": ["a:B", "a:C"], "Resource": "*" } });
        let actual = json!({ "Statement": { "Action": ["a:B", "a:*"], "Resource": "*" } });
        let told = drift("permissions", &actual, &wanted).unwrap();
        assert_eq!(told.actual, "without a:C; also a:*");

        let narrower = json!({ "Statement": { "Action": ["a:B", "a:C"], "Resource": "x" } });
        let told = drift("permissions", &narrower, &wanted).unwrap();
        assert_eq!(told.actual, "without a:B, a:C on *; also a:B, a:C on x");

        let six = json!({ "Statement": { "Action": ["a:B", "a:C", "a:D", "a:E", "a:F", "a:G"], "Resource": "*" } });
        let told = drift("permissions", &json!({ "Statement": [] }), &six).unwrap();
        assert_eq!(told.actual, "without a:B, a:C, a:D, a:E and 2 more");

        let mut conditional = wanted.clone();
        conditional["Statement"]["Condition"] =
            json!({ "Bool": { "aws:SecureTransport": "true" } });
        let told = drift("permissions", &conditional, &wanted).unwrap();
        assert_eq!(told.actual, "the same actions under other conditions");
    }
}
