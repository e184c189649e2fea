//! The agent's own HTTP server: the public verdict and the details, both from memory. It listens on a
//! socket in a folder of root's, so that whoever answers there is the agent: a port of the machine could
//! be taken by any of its processes while the agent restarts.

use std::convert::Infallible;
use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::unistd::{Group, chown};
use tokio::net::{UnixListener, UnixStream};

use crate::advice::Advice;
use crate::board::Board;

/// What nginx passes on to the load balancer: 200 or 503, and which part is missing.
pub const HEALTH_PATH: &str = "/healthz";
/// What nginx asks before it shows a visitor the page: 200 or 503, without a body.
const READY_PATH: &str = "/ready";
/// Everything the agent knows, for `jitsi-agent status`; nginx does not pass it on.
pub const STATUS_PATH: &str = "/status";

/// A client that does not finish its request within this time is left.
const HEADER_LIMIT: Duration = Duration::from_secs(5);

/// nginx's workers, who ask for visitors and for the load balancer; Debian and Ubuntu have the group
/// from the beginning (`base-passwd`).
const WEB_GROUP: &str = "www-data";

/// Listens on the socket `path`, which its folder's owner and nginx may open.
pub async fn bind(path: &Path) -> Result<UnixListener> {
    let listen = async || {
        if UnixStream::connect(path).await.is_ok() {
            bail!("another agent answers there already");
        }
        if let Some(folder) = path.parent() {
            // systemd has made it, but for an agent somebody starts by hand.
            std::fs::create_dir_all(folder)?;
        }
        // What a former agent left: nobody listens there.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o660))?;
        if nix::unistd::geteuid().is_root() {
            let group = Group::from_name(WEB_GROUP)?
                .with_context(|| format!("the group `{WEB_GROUP}` does not exist"))?;
            chown(path, None, Some(group.gid))?;
        }
        Ok(listener)
    };
    listen().await.with_context(|| {
        Advice::new(
            format!("listening on {}", path.display()),
            format!("ss -lxp src {}", path.display()),
        )
    })
}

/// Answers until the program ends. Never waits for anything but the client.
pub async fn serve(listener: UnixListener, board: Board) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("accepting a connection: {error}");
                // Only a shortage of file descriptors comes here, and it needs time to pass.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let board = board.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(&request, &board);
                async move { Ok::<_, Infallible>(response) }
            });
            // A client that goes away early is its own affair.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_LIMIT)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn answer(request: &Request<Incoming>, board: &Board) -> Response<Full<Bytes>> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, HEALTH_PATH) => {
            let (kept, body) = board.public();
            (if kept { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, body)
        }
        (&Method::GET | &Method::HEAD, READY_PATH) => {
            let open = board.is_open();
            (if open { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, String::new())
        }
        (&Method::GET, STATUS_PATH) => (StatusCode::OK, board.details()),
        _ => (StatusCode::NOT_FOUND, "{}".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
