//! `strongroom fsck`: one pass by hand. The status is 0 only if everything was looked at and is well.

use std::io::IsTerminal;
use std::sync::Arc;

use bytesize::ByteSize;
use clap::Args;

use super::{Failure, print};
use crate::app::App;
use crate::jobs::fsck::{self, FsckReport, Repair};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Read every object, and compare its bytes with what was stored
    #[arg(long)]
    full: bool,
    /// Bytes that are read in a second, such as 50MB; fsck_rate of the settings if absent
    #[arg(long, value_name = "SIZE", requires = "full")]
    rate: Option<ByteSize>,
    /// Put bytes that no row knows into quarantine, and remove what was there for long enough
    #[arg(long)]
    repair: bool,
    /// Tell it as JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(app: &Arc<App>, options: Options) -> Result<(), Failure> {
    let wanted = fsck::Options {
        full: options.full,
        rate: options.rate.map_or(app.config.fsck.rate, |rate| rate.as_u64()),
        repair: if options.repair { Repair::Everything } else { Repair::Nothing },
    };
    let is_watched = std::io::stderr().is_terminal();
    let pass = fsck::start(app, wanted).await?.run(move |report| {
        if is_watched {
            eprintln!("{}", progress(report));
        }
    });
    let pass = pass.await?;
    match options.json {
        true => print(&(serde_json::to_string_pretty(&pass).map_err(Failure::runtime)? + "\n"))?,
        false => print(&format!("{pass}\n"))?,
    }
    match pass.report.problems() {
        0 if pass.clean => Ok(()),
        wrong => Err(Failure::Runtime(format!("fsck: {wrong} things are not as they should be"))),
    }
}

fn progress(report: &FsckReport) -> String {
    let FsckReport { rows, objects, uploads, hashed_bytes, .. } = report;
    let read = if report.full { format!(", {} read", ByteSize(*hashed_bytes)) } else { String::new() };
    format!("{rows} rows, {objects} objects, {uploads} uploads{read}; {} findings", report.problems())
}
