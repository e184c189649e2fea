//! From a table of values to a [`Config`], collecting problems and warnings.

use std::{
    cell::RefCell,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::Ipv4Net;
use jitsi_templates::settings::{
    DRAIN_LIMIT, Domain, Jitsi, Problem, Table, Watch,
    reader::{self, Section},
    values::{duration, flag, integer, ipv4_range, is_pasted_key, one_of, text},
};
use serde_json::Value;

use super::{
    Architecture, Certificate, CertificateArn, CertificatePaths, Config, DeploymentName, Email,
    HostedZoneId, ImageChoice, Instance, InstanceType, Network, Region, Zone, agent,
};

/// Long enough for most meetings to end, short enough for a bad instance to be gone soon.
pub(super) const DEFAULT_DRAIN: Duration = Duration::from_mins(30);
/// The VPC's range unless configured.
pub(super) const DEFAULT_CIDR: &str = "10.20.0.0/16";
/// 2 vCPU, 8 GiB: what Jitsi's requirements name for small meetings (handbook, "Requirements").
pub(super) const DEFAULT_INSTANCE_TYPE: &str = "t3.large";
/// GiB; Jitsi's requirements name 20.
pub(super) const DEFAULT_DISK: u32 = 20;

/// What could be read; `config` is there when everything could.
pub(super) struct Partial {
    pub(super) config: Option<Config>,
    pub(super) domain: Option<Domain>,
    pub(super) certificate: Option<Certificate>,
    /// With what it must be built for.
    pub(super) agent: Option<(PathBuf, Architecture)>,
}

/// Reads a whole configuration whose relative paths begin at `base`: what it is, problems, warnings.
pub(super) fn read(table: &Table, base: &Path) -> (Partial, Vec<Problem>, Vec<Problem>) {
    let warnings = Warnings::default();
    let (partial, problems) = reader::read(table, |root| config(root, base, &warnings));
    (partial, problems, warnings.0.into_inner())
}

#[derive(Default)]
struct Warnings(RefCell<Vec<Problem>>);

impl Warnings {
    fn add(&self, key: &str, value: impl Into<Value>, reason: impl Into<String>) {
        self.0.borrow_mut().push(Problem::with_value(key, &value.into(), reason));
    }
}

fn config(root: &mut Section<'_>, base: &Path, warnings: &Warnings) -> Partial {
    let (name, region) = root.section("deployment", |table| {
        let name = table.required(
            "name",
            "a short name for everything in AWS, such as \"jitsi\"",
            text(DeploymentName::parse),
        );
        let region = table.required(
            "region",
            "the AWS region, such as \"eu-central-1\"",
            text(Region::parse),
        );
        (name, region)
    });
    if let Some(region) = &region
        && let Some(known) = region.misspelt()
    {
        let reason = format!("is not a region known to this version; did you mean \"{known}\"?");
        warnings.add("deployment.region", region.as_str(), reason);
    }
    let domain = root.section("site", |table| site(table, warnings));
    let hosted_zone =
        root.section("dns", |table| table.optional("hosted_zone", text(HostedZoneId::parse)));
    let certificate = root.section("certificate", |table| {
        certificate(table, base, region.as_ref(), domain.as_ref(), hosted_zone.as_ref())
    });
    let network = root.section("network", |table| network(table, region.as_ref(), warnings));
    let instance = root.section("instance", |table| instance(table, warnings));
    let drain = root.section("meetings", |table| {
        table.or("drain", DEFAULT_DRAIN, time(Duration::ZERO..=DRAIN_LIMIT))
    });
    let emails = root.section("monitoring", |table| emails(table, warnings));
    let kind = instance.as_ref().map_or("", |instance| instance.instance_type.as_str());
    let architecture = Architecture::of(kind);
    let agent = root.section("agent", |table| {
        if table.has("binary") {
            table.optional("binary", path(base)).map(|path| agent::file(path, architecture))
        } else {
            default_agent(table, architecture)
        }
    });
    let jitsi = root.section("jitsi", Jitsi::read);
    let watch = root.section("watch", Watch::read);
    let whole = || {
        Some(Config {
            name: name?,
            region: region?,
            domain: domain.clone()?,
            certificate: certificate.clone()?,
            hosted_zone,
            network: network?,
            instance: instance?,
            drain,
            emails,
            agent: agent.clone()?,
            jitsi,
            watch,
        })
    };
    let config = whole();
    Partial { config, domain, certificate, agent: agent.map(|path| (path, architecture)) }
}

/// Top-level domains that never are in public DNS (IANA, "Special-Use Domain Names"; ICANN for `internal`).
const PRIVATE_DOMAINS: &[&str] =
    &["test", "invalid", "example", "local", "internal", "onion", "arpa"];

fn site(table: &mut Section<'_>, warnings: &Warnings) -> Option<Domain> {
    let what = "the host name people type, such as \"meet.example.org\"";
    let domain = table.required("domain", what, text(Domain::parse))?;
    let written = table.value("domain").and_then(Value::as_str).unwrap_or_default();
    let last = domain.as_str().rsplit('.').next().unwrap_or_default();
    if PRIVATE_DOMAINS.contains(&last) {
        let reason =
            format!(".{last} is not in public DNS: browsers elsewhere will not find the site");
        warnings.add("site.domain", written, reason);
    }
    if !written.is_ascii() {
        let reason = format!("is \"{domain}\" in DNS and in the certificate");
        warnings.add("site.domain", written, reason);
    }
    Some(domain)
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Import,
    Existing,
    Request,
}

const MODES: [(&str, Mode); 3] =
    [("import", Mode::Import), ("existing", Mode::Existing), ("request", Mode::Request)];

/// Longest domain ACM issues a certificate for: it becomes the common name (ACM API, `RequestCertificate`).
const REQUESTED_DOMAIN_LIMIT: usize = 64;

fn certificate(
    table: &mut Section<'_>,
    base: &Path,
    region: Option<&Region>,
    domain: Option<&Domain>,
    dns: Option<&HostedZoneId>,
) -> Option<Certificate> {
    let what =
        "\"import\" (PEM files), \"existing\" (an ARN in ACM) or \"request\" (ACM issues one)";
    let mode = table.required("mode", what, one_of(&MODES));
    for (key, of) in [
        ("certificate", Mode::Import),
        ("private_key", Mode::Import),
        ("chain", Mode::Import),
        ("arn", Mode::Existing),
        ("hosted_zone", Mode::Request),
    ] {
        if table.has(key) && mode.is_some_and(|mode| mode != of) {
            let name = MODES.iter().find(|(_, mode)| *mode == of).map_or("", |(name, _)| name);
            table.problem(key, format!("is for mode = \"{name}\" only"));
        }
    }
    match mode? {
        Mode::Import => {
            let certificate =
                table.required("certificate", "the path of the certificate (PEM)", path(base));
            let private_key =
                table.required("private_key", "the path of its private key (PEM)", path(base));
            let chain = table.optional("chain", path(base));
            Some(Certificate::Import(CertificatePaths {
                certificate: certificate?,
                private_key: private_key?,
                chain,
            }))
        }
        Mode::Existing => {
            let what = "the certificate's ARN; `aws acm list-certificates` prints it";
            let arn =
                table.required("arn", what, text(|arn| CertificateArn::parse(arn, region)))?;
            Some(Certificate::Existing { arn })
        }
        Mode::Request => {
            if let Some(domain) = domain.filter(|it| it.as_str().len() > REQUESTED_DOMAIN_LIMIT) {
                let length = domain.as_str().len();
                table.problem(
                    "mode",
                    format!(
                        "ACM issues no certificate for a domain of {length} characters; at most \
                         {REQUESTED_DOMAIN_LIMIT}: import one, or shorten site.domain"
                    ),
                );
            }
            let hosted_zone =
                table.optional("hosted_zone", text(HostedZoneId::parse)).or_else(|| dns.cloned());
            Some(Certificate::Request { hosted_zone })
        }
    }
}

fn network(
    table: &mut Section<'_>,
    region: Option<&Region>,
    warnings: &Warnings,
) -> Option<Network> {
    let cidr = match table.value("cidr") {
        Some(_) => table.optional("cidr", text(vpc_range)),
        None => vpc_range(DEFAULT_CIDR).ok(),
    };
    let zones = table.list("zones", text(|zone| Zone::parse(zone, region)));
    let written = table.value("zones").and_then(Value::as_array).map(Vec::len);
    let zones = match (<[Zone; 2]>::try_from(zones), written) {
        (Ok([a, b]), Some(2)) if a != b => Some([a, b]),
        (Ok(_), Some(2)) => {
            table.problem(
                "zones",
                "names the same zone twice; the load balancer needs two different ones",
            );
            None
        }
        (Err(_), None | Some(2)) | (Ok(_), None) => None, // absent, or each bad one was told
        (_, Some(_)) => {
            table.problem(
                "zones",
                "must be exactly two zones; or leave the key out to have two chosen",
            );
            None
        }
    };
    let ssh_from = table.list("ssh_from", text(ipv4_range));
    refuse_twice(table, "ssh_from", &ssh_from, |range| *range);
    if ssh_from.iter().any(|range| range.prefix_len() == 0) {
        warnings.add(
            "network.ssh_from",
            "0.0.0.0/0",
            "opens SSH to the whole world; name your own addresses, or use SSM sessions instead",
        );
    }
    let tcp_fallback = table.or("tcp_fallback", false, flag);
    if tcp_fallback {
        warnings.add(
            "network.tcp_fallback",
            true,
            "opens tcp/4443, which no Jitsi since 2024 listens on: media goes over udp/10000 only",
        );
    }
    Some(Network { cidr: cidr?, zones, ssh_from, tcp_fallback })
}

/// A range for the VPC: /16 is the largest AWS takes, in a /24 two /27 subnets still fit.
fn vpc_range(text: &str) -> Result<Ipv4Net, String> {
    let range = ipv4_range(text)?;
    if !(16..=24).contains(&range.prefix_len()) {
        return Err(format!(
            "has a prefix of /{}; allowed are /16 (65,536 addresses) to /24 (256), which hold two \
             subnets",
            range.prefix_len()
        ));
    }
    if !range.network().is_private() {
        return Err(
            "is not private; choose from 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16".into()
        );
    }
    Ok(range)
}

fn instance(table: &mut Section<'_>, warnings: &Warnings) -> Option<Instance> {
    let instance_type = match table.value("type") {
        Some(_) => table.optional("type", text(InstanceType::parse)),
        None => InstanceType::parse(DEFAULT_INSTANCE_TYPE).ok(),
    };
    if let Some(memory) = instance_type.as_ref().and_then(InstanceType::known_small_memory) {
        let kind = instance_type.as_ref().map_or("", InstanceType::as_str);
        let reason = format!("has {memory} MiB of memory; below 4 GiB meetings stutter or fail");
        warnings.add("instance.type", kind, reason);
    }
    let image = table.optional("image", text(ImageChoice::parse));
    let disk_gib = table.or("disk_gib", DEFAULT_DISK, integer(8..=16_384, "GiB"));
    if disk_gib < DEFAULT_DISK {
        warnings.add("instance.disk_gib", disk_gib, "is little; Jitsi's requirements name 20 GiB");
    }
    let max_age = table.optional("max_age", max_age);
    Some(Instance { instance_type: instance_type?, image, disk_gib, max_age })
}

/// A time with its unit. A bare number, in quotes or not, is refused: some would mean minutes.
fn time(allowed: RangeInclusive<Duration>) -> impl Fn(&Value) -> Result<Duration, String> {
    move |value| {
        let number = match value {
            Value::Number(number) => Some(number.as_u64()),
            Value::String(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                Some(text.parse().ok())
            }
            _ => None,
        };
        let units = number.flatten().map(|number| with_units(number, &allowed));
        if let Some(units) = units.filter(|units| !units.is_empty()) {
            return Err(format!("has no unit; write {}", units.join(" or ")));
        }
        duration(*allowed.end())(value)
    }
}

/// A number with each unit that makes a time within `allowed` of it.
fn with_units(number: u64, allowed: &RangeInclusive<Duration>) -> Vec<String> {
    [(1, "s", "seconds"), (60, "m", "minutes"), (3_600, "h", "hours"), (86_400, "d", "days")]
        .into_iter()
        .filter(|(size, ..)| {
            number
                .checked_mul(*size)
                .map(Duration::from_secs)
                .is_some_and(|it| allowed.contains(&it))
        })
        .map(|(_, unit, word)| format!("\"{number}{unit}\" for {word}"))
        .collect()
}

/// What Auto Scaling takes as the maximum lifetime of an instance (`MaxInstanceLifetime`).
fn max_age(value: &Value) -> Result<Duration, String> {
    const LEAST: Duration = Duration::from_hours(24);
    const MOST: Duration = Duration::from_hours(365 * 24);
    const HOW: &str = "; write \"30d\", from \"1d\" to \"365d\", or leave the key out for never";
    let refused = |reason: String| {
        let reason = reason.split("; ").next().unwrap_or_default().to_owned();
        format!("{reason}{HOW}")
    };
    let age = time(LEAST..=MOST)(value).map_err(refused)?;
    if age < LEAST {
        return Err(format!(
            "is too short: AWS renews no instance more often than once a day{HOW}"
        ));
    }
    Ok(age)
}

fn emails(table: &mut Section<'_>, warnings: &Warnings) -> Vec<Email> {
    let emails = table.list("emails", text(Email::parse));
    refuse_twice(table, "emails", &emails, |email| email.as_str().to_lowercase());
    if !table.has("emails")
        || table.value("emails").and_then(Value::as_array).is_some_and(Vec::is_empty)
    {
        warnings.0.borrow_mut().push(Problem::new(
            "monitoring.emails",
            "names nobody: no one is told when the server dies or is replaced",
        ));
    }
    emails
}

/// AWS refuses a rule or a subscription it has already.
fn refuse_twice<T: std::fmt::Display, K: PartialEq>(
    table: &mut Section<'_>,
    key: &'static str,
    items: &[T],
    same: impl Fn(&T) -> K,
) {
    for (index, item) in items.iter().enumerate() {
        if items[..index].iter().any(|earlier| same(earlier) == same(item)) {
            table.problem(key, format!("lists {item} twice"));
        }
    }
}

/// A path, relative to the file's directory.
fn path(base: &Path) -> impl Fn(&Value) -> Result<PathBuf, String> {
    text(move |path| {
        if path.is_empty() {
            return Err("is empty; write a path".into());
        }
        if is_pasted_key(path) {
            return Err("is the PEM itself; write the path of the file that holds it".into());
        }
        if path.starts_with("~/") {
            return Err("begins with ~, which only shells know; write the whole path".into());
        }
        Ok(base.join(path))
    })
}

/// The agent beside this program.
fn default_agent(table: &mut Section<'_>, architecture: Architecture) -> Option<PathBuf> {
    match std::env::current_exe() {
        Ok(program) => Some(agent::default(&program, architecture)),
        Err(error) => {
            table.problem(
                "binary",
                format!("must be given: cannot tell where this program lies: {error}"),
            );
            None
        }
    }
}
