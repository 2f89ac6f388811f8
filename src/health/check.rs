//! One diagnostic check: the action, what was observed, and the remedy. `strongroom doctor` prints
//! checks; the server logs them and reports their outcomes at `/readyz`.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use url::Url;

use crate::clock::Clock;

/// The result of one check of the database, the store or the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable name such as `store.private`; safe to show to anonymous clients.
    pub name: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What the check did. Like `observed`, for operators only: it may contain addresses.
    pub action: String,
    /// What the database or the store returned, in one line.
    pub observed: String,
    /// What the operator can do; empty if no action is needed.
    pub remedy: String,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// Nothing is wrong.
    #[serde(rename = "ok")]
    Ok,
    /// Something works, but not as well or as safely as it could.
    #[serde(rename = "warning")]
    Warning,
    /// Something does not work, or is not safe.
    #[serde(rename = "failed")]
    Failed,
    /// The check could not be completed.
    #[serde(rename = "skipped")]
    Skipped,
}

/// How many checks a probe runs. Each level includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeLevel {
    /// What the server runs at startup: a dozen small requests.
    Quick,
    /// Also everything else that is cheap.
    Full,
    /// Also checks that take seconds or transfer megabytes.
    Deep,
}

/// The input of a probe.
#[derive(Debug, Clone)]
pub struct ProbeOptions {
    /// How many checks to run.
    pub level: ProbeLevel,
    /// The clock that those of the database and the store are compared with.
    pub clock: Clock,
    /// The URL of this server, as clients use it.
    pub public_url: Url,
}

/// Clock skew above which a check warns, in seconds.
const SKEW_WARNED: i64 = 60;
/// Clock skew above which a check fails, in seconds. S3 refuses requests that are 15 minutes off.
const SKEW_REFUSED: i64 = 300;

impl Check {
    /// A check that found nothing wrong.
    pub fn ok(name: &'static str, action: impl Into<String>, observed: impl Into<String>) -> Self {
        Self::new(name, Outcome::Ok, action, observed, "")
    }

    /// A check that works, with a warning.
    pub fn warning(
        name: &'static str,
        action: impl Into<String>,
        observed: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(name, Outcome::Warning, action, observed, remedy)
    }

    /// A check that found something broken or unsafe.
    pub fn failed(
        name: &'static str,
        action: impl Into<String>,
        observed: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(name, Outcome::Failed, action, observed, remedy)
    }

    /// A check without a result; `observed` says why.
    pub fn skipped(name: &'static str, action: impl Into<String>, observed: impl Into<String>) -> Self {
        Self::new(name, Outcome::Skipped, action, observed, "")
    }

    /// Compares a remote clock with this machine's. The time of one request is part of the difference.
    pub fn clock(name: &'static str, whose: &str, theirs: Timestamp, ours: Timestamp) -> Self {
        let action = format!("compare {whose} clock with this machine's");
        let ahead = theirs.as_second() - ours.as_second();
        let observed = match ahead {
            -2..=2 => "they agree".to_owned(),
            3.. => format!("it is {ahead} seconds ahead"),
            _ => format!("it is {} seconds behind", -ahead),
        };
        let remedy = "synchronize the clocks of both machines, for example with NTP";
        match ahead.abs() {
            0..=SKEW_WARNED => Self::ok(name, action, observed),
            skew if skew <= SKEW_REFUSED => Self::warning(name, action, observed, remedy),
            _ => Self::failed(name, action, observed, remedy),
        }
    }

    /// Whether the outcome is [`Outcome::Failed`].
    pub fn has_failed(&self) -> bool {
        self.outcome == Outcome::Failed
    }

    fn new(
        name: &'static str,
        outcome: Outcome,
        action: impl Into<String>,
        observed: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (action, observed) = (action.into(), one_line(&observed.into()));
        Self { name, outcome, action, observed, remedy: remedy.into() }
    }
}

/// One line: outcome, name, action, what was observed, remedy.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8} {:22} {}: {}", self.outcome.as_str(), self.name, self.action, self.observed)?;
        match self.remedy.as_str() {
            "" => Ok(()),
            remedy => write!(f, " -> {remedy}"),
        }
    }
}

impl Outcome {
    /// The name, as in JSON and in the doctor's output.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Warning => "warning",
            Outcome::Failed => "failed",
            Outcome::Skipped => "skipped",
        }
    }
}

/// Joins the lines of a response and limits its length.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 300;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
