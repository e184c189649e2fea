//! The door to AWS: one `SdkConfig`, one client per service in use, and the log of every call.

mod answer;
mod calls;
mod codes;
mod endpoint;
mod foreign;
mod session;
mod turn;

pub use answer::{Answer, AwsError, Fate};
pub use calls::{Call, Calls};
pub use codes::NotYet;
pub(crate) use endpoint::{by_hand as endpoints_by_hand, shown as shown_address};
pub use session::{Aws, Caller, Credentials, HttpClient, connect};
pub use turn::{Moment, Turn};
