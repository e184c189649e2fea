//! The agent's own bucket, of which an instance may read everything and write below one prefix. S3's
//! REST interface with the SDK's signer and connections: S3's SDK would be a MiB for two calls.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, anyhow, bail};
use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt as _, Limited};

use crate::advice::Advice;
use crate::imds::Imds;
use crate::node::Node;
use crate::retry::Hopeless;

const REQUEST_LIMIT: Duration = Duration::from_secs(15);
/// Longest body read; what an instance writes is a hundredth of it.
const BODY_LIMIT: usize = 1 << 18;

/// The bucket, seen from one instance.
#[derive(Debug)]
pub(crate) struct Bucket<'a> {
    sdk: &'a SdkConfig,
    region: &'a str,
    /// Whose the bucket must be; S3 refuses calls on anybody else's (S3 user guide, "Verifying bucket ownership with
    /// bucket owner condition").
    account: String,
    /// `https://BUCKET.s3.REGION.amazonaws.com/`.
    base: String,
}

/// An object as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) text: String,
    /// Its version, for a write that must not overwrite another one.
    pub(crate) etag: String,
}

impl<'a> Bucket<'a> {
    /// The bucket of the deployment; the metadata service knows the account and AWS's domain.
    pub(crate) async fn of(node: &'a Node, imds: &Imds) -> Result<Self> {
        let profile = imds.instance_profile_arn().await?;
        let account = profile.as_deref().and_then(|arn| arn.split(':').nth(4));
        let account = account
            .ok_or_else(|| anyhow!(Hopeless::new("no instance profile names the account")))?;
        let region = node.settings.region.as_str();
        let name =
            jitsi_templates::layout::agent_bucket(&node.settings.deployment, account, region);
        let base = match node.sdk.endpoint_url() {
            Some(endpoint) => format!("{}/{name}/", endpoint.trim_end_matches('/')),
            None => format!("https://{name}.s3.{region}.{}/", imds.services_domain().await?),
        };
        Ok(Self { sdk: &node.sdk, region, account: account.to_owned(), base })
    }

    /// The object; `None` when there is none. It is looked for first: of an object that is not there
    /// S3 tells only those who may list the whole bucket (`GetObject`, "Permissions"), and the role
    /// may list one prefix.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Object>> {
        let list = format!("?list-type=2&max-keys=1&prefix={}", encoded(key, false));
        let listed = self.send("GET", &list, "", &[]).await?;
        if !said(listed, "listing", key).await?.text.contains(&format!("<Key>{key}</Key>")) {
            return Ok(None);
        }
        let answer = self.send("GET", &encoded(key, true), "", &[]).await?;
        said(answer, "reading", key).await.map(Some)
    }

    /// Writes the object in the place of `former`, or of none; false when somebody else did meanwhile.
    pub(crate) async fn put(&self, key: &str, text: &str, former: Option<&Object>) -> Result<bool> {
        let condition = match former {
            Some(former) => ("if-match", former.etag.as_str()),
            None => ("if-none-match", "*"),
        };
        let answer = self.send("PUT", &encoded(key, true), text, &[condition]).await?;
        // PutObject, "Conditional writes": 412 when it is another one, 409 when somebody writes now.
        if [409, 412].contains(&answer.status().as_u16()) {
            return Ok(false);
        }
        said(answer, "writing", key).await.map(|_| true)
    }

    /// Sends it; once more by S3's clock when ours is too far off.
    async fn send(
        &self,
        method: &str,
        path: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> Result<HttpResponse> {
        let uri = format!("{}{path}", self.base);
        let answer = self.send_at(SystemTime::now(), method, &uri, body, headers).await?;
        let theirs = answer.headers().get("date").and_then(date);
        match theirs {
            Some(theirs) if answer.status().as_u16() == 403 => {
                self.send_at(theirs, method, &uri, body, headers).await
            }
            _ => Ok(answer),
        }
    }

    async fn send_at(
        &self,
        time: SystemTime,
        method: &str,
        uri: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> Result<HttpResponse> {
        let credentials = self.sdk.credentials_provider().context("the SDK has no credentials")?;
        let credentials =
            credentials.provide_credentials().await.map_err(crate::aws::plain)?.into();
        let mut settings = SigningSettings::default();
        let owner = ("x-amz-expected-bucket-owner", self.account.as_str());
        let headers: Vec<(&str, &str)> = headers.iter().copied().chain([owner]).collect();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let parameters = v4::SigningParams::builder()
            .identity(&credentials)
            .region(self.region)
            .name("s3")
            .time(time)
            .settings(settings)
            .build()
            .context("signing")?
            .into();
        let signable = SignableBody::Bytes(body.as_bytes());
        let signable = SignableRequest::new(method, uri, headers.iter().copied(), signable)
            .context("signing")?;
        let (signature, _) = sign(signable, &parameters).context("signing")?.into_parts();
        let mut request = hyper::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut request = request.body(SdkBody::from(body)).context("the request")?;
        signature.apply_to_request_http1x(&mut request);
        let request = HttpRequest::try_from(request).map_err(crate::aws::plain)?;
        let connector =
            jitsi_http::connector(crate::aws::proxy()?.as_ref()).map_err(Advice::from)?;
        match tokio::time::timeout(REQUEST_LIMIT, connector.call(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(crate::aws::plain(error)).context(uri.to_owned()),
            Err(_) => bail!("{uri}: no answer within {} s", REQUEST_LIMIT.as_secs()),
        }
    }
}

/// The answer's body, or S3's reason.
async fn said(answer: HttpResponse, doing: &str, key: &str) -> Result<Object> {
    let status = answer.status().as_u16();
    let etag = answer.headers().get("etag").unwrap_or_default().to_owned();
    let body = Limited::new(answer.into_body(), BODY_LIMIT).collect();
    let body = tokio::time::timeout(REQUEST_LIMIT, body)
        .await
        .map_err(|_| anyhow!("it ends in the middle"))
        .and_then(|body| body.map_err(|error| anyhow!("{error}")))
        .with_context(|| format!("{doing} {key} in the agent's bucket"))?;
    let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    if !(200..300).contains(&status) {
        bail!("{doing} {key} in the agent's bucket: {}", reason(status, &text));
    }
    Ok(Object { text, etag })
}

/// `AccessDenied` of `<Error><Code>AccessDenied</Code>…`.
fn reason(status: u16, text: &str) -> String {
    let code = text.split("<Code>").nth(1).and_then(|rest| rest.split('<').next());
    code.map_or_else(|| format!("status {status}"), str::to_owned)
}

/// `Sat, 21 Nov 2026 13:05:00 GMT`.
fn date(text: &str) -> Option<SystemTime> {
    use aws_smithy_types::date_time::Format;
    let time = aws_smithy_types::DateTime::from_str(text, Format::HttpDate).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(time.secs().try_into().ok()?))
}

/// As S3 signs it: everything but letters, digits and `-._~` (and the slashes of a path) encoded.
fn encoded(text: &str, path: bool) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (path && byte == b'/') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_encoded_as_s3_signs_them() {
        let key = "proven/trixie/2:1.0+b~x.json";
        assert_eq!(encoded(key, true), "proven/trixie/2%3A1.0%2Bb~x.json");
        assert_eq!(encoded("proven/x", false), "proven%2Fx");
    }

    #[test]
    fn a_refusal_is_told_by_its_code() {
        let denied = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>";
        assert_eq!(reason(403, denied), "AccessDenied");
        assert_eq!(reason(500, "<html>"), "status 500");
    }

    #[tokio::test]
    async fn every_call_says_whose_the_bucket_must_be() {
        use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/bucket/", listener.local_addr().unwrap());
        let seen = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            String::from_utf8(head).unwrap()
        });
        let credentials = Credentials::new("AKID", "secret", None, None, "test");
        let sdk = SdkConfig::builder()
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let account = "123456789012".to_owned();
        let bucket = Bucket { sdk: &sdk, region: "eu-central-1", account, base };
        assert_eq!(bucket.get("proven/trixie/stable.json").await.unwrap(), None);
        let head = seen.await.unwrap().to_ascii_lowercase();
        assert!(head.contains("\r\nx-amz-expected-bucket-owner: 123456789012\r\n"), "{head}");
        let signed = head.split("signedheaders=").nth(1).unwrap().split(',').next().unwrap();
        assert!(signed.split(';').any(|name| name == "x-amz-expected-bucket-owner"), "{signed}");
    }

    #[test]
    fn s3s_clock_can_be_read() {
        let time = date("Thu, 01 Jan 1970 00:01:00 GMT").unwrap();
        assert_eq!(time, SystemTime::UNIX_EPOCH + Duration::from_mins(1));
        assert_eq!(date("nonsense"), None);
    }
}
