//! The command line: parses it, runs one command, and turns every failure into one line and an exit status.

mod doctor;
mod fsck;
mod reap;
mod serve;
mod users;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use clap::error::ErrorKind;

use crate::app::App;
use crate::clock::Clock;
use crate::config::{ConfigError, ContainerLimits, Settings};
use crate::error::{Error, chain};
use crate::events::{Channel, RequestContext};
use crate::faults;
use crate::logs;

/// A private-file server for apps and people that keeps files in your own bucket or on your own disk.
///
/// Without a command, the server starts. Every setting can be an environment variable or a key of a TOML file, and all but
/// secrets a flag; flags override variables, and variables override the file.
#[derive(Debug, Parser)]
#[command(name = "strongroom", version, arg_required_else_help = false)]
struct Options {
    /// TOML file with settings; strongroom.toml is the default if it exists [env: STRONGROOM_CONFIG]
    #[arg(long, value_name = "PATH", global = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Start the server (the default)
    Serve,
    /// Manage users
    #[command(subcommand)]
    User(users::Command),
    /// Run garbage collection once and print a summary
    Reap,
    /// Check database and store for inconsistencies
    Fsck(fsck::Options),
    /// Diagnose configuration, database and store
    Doctor(doctor::Options),
    /// Print the effective settings, without secrets
    Config {
        /// Print a file with every setting at its default instead
        #[arg(long)]
        example: bool,
    },
}

/// Why a command failed, in one line.
#[derive(Debug)]
enum Failure {
    /// The command line or a setting is not valid: status 2.
    Usage(String),
    /// The command failed: status 1.
    Runtime(String),
}

/// Runs the program: all of `main`.
pub fn main() -> ExitCode {
    let _armed = faults::arm();
    // Without a default provider, rustls panics at the first connection. It fails if there already is one, as in a
    // process that calls this function twice.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => return usage_error(&error),
    };
    let result = run(options);
    logs::flush();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(why)) => print_error(&why, 2),
        Err(Failure::Runtime(why)) => print_error(&why, 1),
    }
}

fn run(options: Options) -> Result<(), Failure> {
    if let Some(Command::Config { example: true }) = options.command {
        return print(&crate::config::example());
    }
    let limits = ContainerLimits::of_this_process();
    let settings = Settings::load(options.settings, options.config, std::env::vars_os())?.fitted_to(limits);
    if let Some(Command::Config { .. }) = options.command {
        return print(&settings.effective()?);
    }
    let config = settings.resolve()?;
    logs::start(&config);
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::runtime)?;
    let result = runtime.block_on(async {
        match options.command {
            None | Some(Command::Serve) => serve::run(config, limits).await,
            Some(Command::User(command)) => {
                with_app(App::open_database_only(config, Clock::default()), async |app| {
                    RequestContext::new(Channel::Command, None).scope(users::run(app, command)).await
                })
                .await
            }
            Some(Command::Reap) => {
                with_app(App::open(config, Clock::default()), async |app| reap::run(app).await).await
            }
            Some(Command::Fsck(options)) => {
                with_app(App::open(config, Clock::default()), async |app| fsck::run(app, options).await).await
            }
            Some(Command::Doctor(options)) => doctor::run(&config, limits, &options).await,
            Some(Command::Config { .. }) => Ok(()),
        }
    });
    // Tasks that did not stop when they were asked to must not delay the exit.
    runtime.shutdown_background();
    result
}

/// Opens the app for one command, and closes the database when the command has ended or failed.
async fn with_app(
    opening: impl Future<Output = crate::error::Result<Arc<App>>>,
    command: impl AsyncFnOnce(&Arc<App>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let app = opening.await?;
    let result = command(&app).await;
    app.db.close().await;
    result
}

/// Writes output. A closed pipe, as of `| head`, is not a failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::runtime(error)),
        _ => Ok(()),
    }
}

fn print_error(why: &str, status: u8) -> ExitCode {
    logs::print_line(&format!("strongroom: {why}"));
    logs::flush();
    ExitCode::from(status)
}

/// Prints help and version as clap formats them, and usage errors in one line.
fn usage_error(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(error.exit_code() as u8)
        }
        _ => print_error(&one_line(&error.to_string()), 2),
    }
}

/// A usage error of clap without the usage: the error, and a tip if there is one.
fn one_line(error: &str) -> String {
    let error = error.strip_prefix("error: ").unwrap_or(error);
    let paragraphs =
        error.split("\n\n").take_while(|part| !part.starts_with("Usage:") && !part.starts_with("For more"));
    let words: Vec<String> = paragraphs.map(|part| part.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    format!("{} (see strongroom --help)", words.join("; "))
}

impl Failure {
    fn runtime(error: impl std::error::Error) -> Self {
        Failure::Runtime(chain(&error).replace(['\n', '\r'], " "))
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Failure::Usage(error.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::Invalid(fields) => {
                let fields: Vec<_> =
                    fields.iter().map(|field| format!("{}: {}", field.location.name(), field.detail)).collect();
                Failure::Usage(fields.join("; "))
            }
            Error::Setup(why) => Failure::Runtime(why.replace(['\n', '\r'], " ")),
            Error::Internal(cause) => Failure::runtime(&**cause),
            _ => Failure::runtime(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn a_usage_error_is_one_line_without_values() {
        for (arguments, line) in [
            (
                vec!["--pubic-url", "hunter2"],
                "unexpected argument '--pubic-url' found; tip: a similar argument exists: '--public-url' (see strongroom --help)",
            ),
            (
                vec!["--pubic-url=hunter2"],
                "unexpected argument '--pubic-url' found; tip: a similar argument exists: '--public-url' (see strongroom --help)",
            ),
            (
                vec!["user", "add"],
                "the following required arguments were not provided: <EMAIL> (see strongroom --help)",
            ),
            (
                vec!["--listen"],
                "a value is required for '--listen <ADDRESS>' but none was supplied (see strongroom --help)",
            ),
        ] {
            let error = Options::try_parse_from([&["strongroom"], &arguments[..]].concat()).unwrap_err();
            assert_eq!(one_line(&error.to_string()), line);
        }
    }

    #[test]
    fn flags_are_accepted_before_and_after_the_command() {
        for arguments in
            [["strongroom", "--log-format=json", "user", "list"], ["strongroom", "user", "list", "--log-format=json"]]
        {
            let options = Options::try_parse_from(arguments).unwrap();
            assert_eq!(options.settings.resolve().unwrap().log_format, crate::config::LogFormat::Json);
        }
    }
}
