//! Checks of single settings that both programs make: names AWS takes, packages and repositories.

/// Longest deployment name. ALBs and target groups hold 32 characters (ELB API, `CreateLoadBalancer`),
/// of which 12 are left for the role a resource's name ends in.
pub const DEPLOYMENT_NAME_LIMIT: usize = 20;

/// Shortest deployment name: the launch template has it as its own (EC2 API, `CreateLaunchTemplate`).
const DEPLOYMENT_NAME_MINIMUM: usize = 3;

/// What AWS keeps for itself at the beginning of a name that begins with the deployment's, and whose
/// name that is.
const RESERVED: [(&str, &str); 5] = [
    ("amzn-s3-demo-", "a bucket's name (S3 user guide, \"General purpose bucket naming rules\")"),
    ("internal-", "a load balancer's name (ELB API, `CreateLoadBalancer`)"),
    ("sg-", "a security group's name (EC2 API, `CreateSecurityGroup`)"),
    ("sthree-", "a bucket's name (S3 user guide, \"General purpose bucket naming rules\")"),
    ("xn--", "a bucket's name (S3 user guide, \"General purpose bucket naming rules\")"),
];

/// Whether `name` can begin every name AWS is given: lower-case letters, digits and hyphens. Says
/// everything that is wrong with it.
pub fn deployment_name(name: &str) -> Result<String, String> {
    let allowed = "lower-case letters, digits and hyphens";
    if name.is_empty() {
        return Err(format!("is empty; write a short name of {allowed}, such as \"jitsi\""));
    }
    let length = name.chars().count();
    let mut wrong = Vec::new();
    if length < DEPLOYMENT_NAME_MINIMUM {
        let characters = if length == 1 { "1 character" } else { "2 characters" };
        wrong.push(format!(
            "has {characters}; at least {DEPLOYMENT_NAME_MINIMUM}, because a launch template's name \
             needs them"
        ));
    }
    if length > DEPLOYMENT_NAME_LIMIT {
        wrong.push(format!(
            "has {length} characters; at most {DEPLOYMENT_NAME_LIMIT}, because names of load balancers, which \
             begin with it, have at most 32"
        ));
    }
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        let tame: String = name
            .to_lowercase()
            .chars()
            .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
            .collect();
        let guess = match deployment_name(&tame) {
            Ok(tame) => format!(", such as \"{tame}\""),
            Err(_) => String::new(),
        };
        wrong.push(format!("may hold {allowed} only{guess}"));
    } else if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        wrong.push("must begin with a letter".into());
    }
    if name.ends_with('-') {
        wrong.push("must not end with a hyphen: AWS refuses such load balancer names".into());
    }
    for (prefix, whose) in RESERVED {
        if name.starts_with(prefix) {
            wrong.push(format!("must not begin with \"{prefix}\": AWS reserves that in {whose}"));
        }
    }
    if wrong.is_empty() { Ok(name.to_owned()) } else { Err(wrong.join("; and it ")) }
}

/// Whether `region` has the shape of a region's name; AWS adds regions, so no list decides.
pub fn region(region: &str) -> Result<String, String> {
    let example = "such as \"eu-central-1\"";
    if region.is_empty() {
        return Err(format!("is empty; write an AWS region, {example}"));
    }
    let lower = region.to_ascii_lowercase();
    let parts: Vec<&str> = lower.split('-').collect();
    let words = |parts: &[&str]| {
        parts.iter().all(|part| part.len() > 1 && part.bytes().all(|b| b.is_ascii_lowercase()))
    };
    let (Some((last, first)), true) = (parts.split_last(), parts.len() >= 3) else {
        return Err(format!("is not an AWS region; write its code, {example}"));
    };
    let digits = last.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let is_number =
        !digits.is_empty() && digits.len() <= 2 && digits.bytes().all(|b| b.is_ascii_digit());
    if !words(first) || !is_number {
        return Err(format!("is not an AWS region; write its code, {example}"));
    }
    if digits.len() < last.len() {
        let region = format!("{}-{digits}", first.join("-"));
        return Err(format!("is an availability zone; its region is \"{region}\""));
    }
    if lower != region {
        return Err(format!("must be lower case: \"{lower}\""));
    }
    Ok(lower)
}

/// A name AWS gives back as it got it: an Auto Scaling group's or a hook's (1 to 255 characters).
pub(super) fn aws_name(name: &str) -> Result<String, String> {
    if (1..=255).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(name.to_owned())
    } else {
        Err("must be 1 to 255 printable characters without spaces".into())
    }
}

/// A Debian package version (Debian policy §5.6.12) without wildcards.
pub(super) fn package_version(version: &str) -> Result<String, String> {
    let good = version.starts_with(|c: char| c.is_ascii_digit())
        && version.bytes().all(|b| b.is_ascii_alphanumeric() || b".+~:-".contains(&b));
    if good {
        Ok(version.to_owned())
    } else {
        Err("is not a package version; write it as apt shows it, such as \"2.0.10741-1\"".into())
    }
}

/// A JWT application id.
pub(super) fn app_id(id: &str) -> Result<String, String> {
    let good = (1..=128).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_graphic() && !b"\"'\\`".contains(&b));
    if good {
        Ok(id.to_owned())
    } else {
        Err("must be 1 to 128 printable characters without spaces, quotes and backslashes".into())
    }
}

/// The name of one SSM parameter (SSM API, `PutParameter`): `/jitsi/jwt-secret`.
pub(super) fn parameter(name: &str) -> Result<String, String> {
    let example = "write a name such as \"/jitsi/jwt-secret\"";
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.-/".contains(&b);
    if name.is_empty() || name.len() > 1011 || !name.bytes().all(allowed) {
        return Err(format!(
            "is not an SSM parameter name (letters, digits, `.`, `-`, `_` and `/`, at most 1,011); {example}"
        ));
    }
    if name.contains("//") || name.ends_with('/') || (name.contains('/') && !name.starts_with('/'))
    {
        return Err(format!("a path begins with one slash and ends with a name; {example}"));
    }
    let first = name.trim_start_matches('/').to_ascii_lowercase();
    if first.starts_with("aws") || first.starts_with("ssm") {
        return Err("must not begin with \"aws\" or \"ssm\": AWS keeps those for itself".into());
    }
    Ok(name.to_owned())
}

/// A path below which SSM parameters lie: `/jitsi/users`.
pub(super) fn parameter_path(path: &str) -> Result<String, String> {
    let path = path.strip_suffix('/').unwrap_or(path);
    if !path.starts_with('/') {
        return Err("must be an SSM path that begins with a slash, such as \"/jitsi/users\"".into());
    }
    parameter(path)
}

/// An address apt and the agent fetch from. It lands in user-data and in an apt source, so it
/// holds neither credentials nor anything that would end a word there.
pub(super) fn url(url: &str) -> Result<String, String> {
    let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else {
        return Err("must begin with https:// or http://".into());
    };
    if rest.contains('@') {
        return Err(
            "must hold no user and password: every process of the instance could read them".into(),
        );
    }
    let good = !rest.starts_with(['/', ':'])
        && !rest.is_empty()
        && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:/%+[]".contains(&b));
    if good {
        Ok(url.trim_end_matches('/').to_owned())
    } else {
        Err("is not a plain address; write \"https://host/path\" without spaces, quotes and queries"
            .into())
    }
}

/// A suite in an apt source; `{codename}` is the only placeholder.
pub(super) fn suite(suite: &str) -> Result<String, String> {
    let fixed = suite.replace("{codename}", "");
    let good = !suite.is_empty()
        && fixed.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._/".contains(&b));
    if good {
        Ok(suite.to_owned())
    } else {
        Err("is not a suite; write \"stable/\", \"noble\" or \"{codename}\"".into())
    }
}

/// A key's fingerprint: 40 hexadecimal digits, spaces allowed between them.
pub(super) fn fingerprint(fingerprint: &str) -> Result<String, String> {
    let digits: String = fingerprint.chars().filter(|c| !c.is_whitespace()).collect();
    if digits.len() == 40 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(digits.to_ascii_uppercase())
    } else {
        Err("is not a fingerprint: 40 hexadecimal digits, as `gpg --show-keys` prints them".into())
    }
}
