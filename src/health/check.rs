//! What came of trying something that the server needs: told by `strongroom doctor`, and by the
//! server in its log and at `/readyz`.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use url::Url;

use crate::clock::Clock;

/// One thing that was action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable, and fit for foreign_entries.
    pub name: &'static str,
    pub outcome: Outcome,
    /// What was action, and what came back: for the operator alone, who may know addresses.
    pub action: String,
    pub came_back: String,
    /// What the operator can do about it; empty when there is nothing to do.
    pub what_to_do: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Ok,
    /// It works, but not as well or as safely as it could.
    Warning,
    /// Something will not work, or is not safe.
    Failed,
    /// It could not be found out.
    Skipped,
}

/// How much is action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeLevel {
    /// What the server wants to know at its start: a dozen small requests.
    Quick,
    /// Everything that costs little.
    Full,
    /// What takes a while or moves megabytes, too.
    Deep,
}

/// What a probe is told.
#[derive(Debug, Clone)]
pub struct ProbeOptions {
    pub depth: ProbeLevel,
    /// What the clocks of others are compared with.
    pub clock: Clock,
    /// Where people, and the pages in their browsers, reach the server.
    pub public_url: Url,
}

/// Clocks further apart than this are worth a word, in seconds ...
const SKEW_WARNED: i64 = 60;
/// ... and further than this they make trouble: S3 refuses requests that are 15 minutes off.
const SKEW_REFUSED: i64 = 300;

impl Check {
    pub fn ok(name: &'static str, action: impl Into<String>, came_back: impl Into<String>) -> Self {
        Self::new(name, Outcome::Ok, action, came_back, "")
    }

    pub fn warning(
        name: &'static str,
        action: impl Into<String>,
        came_back: impl Into<String>,
        what_to_do: impl Into<String>,
    ) -> Self {
        Self::new(name, Outcome::Warning, action, came_back, what_to_do)
    }

    pub fn failed(
        name: &'static str,
        action: impl Into<String>,
        came_back: impl Into<String>,
        what_to_do: impl Into<String>,
    ) -> Self {
        Self::new(name, Outcome::Failed, action, came_back, what_to_do)
    }

    pub fn skipped(name: &'static str, action: impl Into<String>, came_back: impl Into<String>) -> Self {
        Self::new(name, Outcome::Skipped, action, came_back, "")
    }

    /// Compares the clock of what was asked with this machine's; a request lies in between.
    pub fn clock(name: &'static str, whose: &str, theirs: Timestamp, ours: Timestamp) -> Self {
        let action = format!("compare {whose} clock with this machine's");
        let ahead = theirs.as_second() - ours.as_second();
        let came_back = match ahead {
            -2..=2 => "they agree".to_owned(),
            3.. => format!("it is {ahead} seconds ahead"),
            _ => format!("it is {} seconds behind", -ahead),
        };
        let what_to_do = "keep both machines' clocks right, with NTP for instance";
        match ahead.abs() {
            0..=SKEW_WARNED => Self::ok(name, action, came_back),
            skew if skew <= SKEW_REFUSED => Self::warning(name, action, came_back, what_to_do),
            _ => Self::failed(name, action, came_back, what_to_do),
        }
    }

    pub fn has_failed(&self) -> bool {
        self.outcome == Outcome::Failed
    }

    fn new(
        name: &'static str,
        outcome: Outcome,
        action: impl Into<String>,
        came_back: impl Into<String>,
        what_to_do: impl Into<String>,
    ) -> Self {
        let (action, came_back) = (action.into(), one_line(&came_back.into()));
        Self { name, outcome, action, came_back, what_to_do: what_to_do.into() }
    }
}

/// One line: what was action, what came back, what to do.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:8} {:22} {}: {}", self.outcome.word(), self.name, self.action, self.came_back)?;
        match self.what_to_do.as_str() {
            "" => Ok(()),
            what_to_do => write!(f, " -> {what_to_do}"),
        }
    }
}

impl Outcome {
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Warning => "warning",
            Outcome::Failed => "failed",
            Outcome::Skipped => "skipped",
        }
    }
}

/// What others answer may have many lines, and any length.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 300;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
