//! `strongroom fsck`: one run. The exit status is 0 only if everything was checked and no problem was found.

use std::io::IsTerminal;
use std::sync::Arc;

use bytesize::ByteSize;
use clap::Args;
use uuid::Uuid;

use super::{Failure, print};
use crate::app::App;
use crate::jobs::fsck::{self, FsckReport, Repair};
use crate::logs;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Read every object and verify its hash
    #[arg(long)]
    full: bool,
    /// Bytes per second to read, such as 50MB (default: the setting fsck_rate)
    #[arg(long, value_name = "SIZE", requires = "full")]
    rate: Option<ByteSize>,
    /// Put orphaned objects into quarantine, and delete those whose quarantine has ended
    #[arg(long)]
    repair: bool,
    /// With --repair: this many orphans are expected, for example after a restore, even if they are more than 5 in 100
    #[arg(long, value_name = "NUMBER", default_value_t = 0, requires = "repair")]
    accept_orphans: u64,
    /// The database was restored from a backup: make the cursors of the change log from before invalid
    #[arg(long)]
    after_restore: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(app: &Arc<App>, options: Options) -> Result<(), Failure> {
    let fsck_options = fsck::Options {
        full: options.full,
        rate: options.rate.map_or(app.config.fsck.rate, |rate| rate.as_u64()),
        repair: if options.repair { Repair::Everything } else { Repair::Nothing },
        accepted_orphans: options.accept_orphans,
    };
    if options.after_restore {
        app.db.renew_change_log(Uuid::new_v4().as_fields().0).await?;
    }
    let is_watched = std::io::stderr().is_terminal();
    let run = fsck::start(app, fsck_options).await?.run(move |report| {
        if is_watched {
            logs::print_line(&progress(report));
        }
    });
    let run = run.await?;
    match options.json {
        true => print(&(serde_json::to_string_pretty(&run).map_err(Failure::runtime)? + "\n"))?,
        false => print(&format!("{run}\n"))?,
    }
    match run.report.problems() {
        0 if run.clean => Ok(()),
        0 => Err(Failure::Runtime("fsck: the run is incomplete".into())),
        1 => Err(Failure::Runtime("fsck: 1 problem found".into())),
        problems => Err(Failure::Runtime(format!("fsck: {problems} problems found"))),
    }
}

fn progress(report: &FsckReport) -> String {
    let FsckReport { rows, objects, uploads, hashed_bytes, .. } = report;
    let read = if report.full { format!(", {} read", ByteSize(*hashed_bytes)) } else { String::new() };
    format!("{rows} rows, {objects} objects, {uploads} uploads{read}; {} findings", report.problems())
}
