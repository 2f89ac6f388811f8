//! `strongroom user ...`: accounts, without the server's help.

use std::fmt::Write;
use std::io::BufRead;

use bytesize::ByteSize;
use secrecy::{ExposeSecret, SecretString};

use super::{Failure, print};
use crate::app::App;
use crate::users::{self, AccountPatch, AdminUser, NewAccount, Quota};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make an account; its password is made up and printed unless it comes from the standard input
    Add {
        #[arg(value_name = "EMAIL")]
        email: String,
        /// How the person is called; the address's first part if absent
        #[arg(long)]
        name: Option<String>,
        /// May manage other people's accounts
        #[arg(long)]
        admin: bool,
        /// Read the password from the first line of the standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Show every account and what it uses
    List {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// End every session of an account, and accept neither its password nor its tokens
    Disable { email: String },
    /// Accept the password and the tokens of a disabled account again
    Enable { email: String },
    /// Take an account away with all that is its; there is no way back
    Erase { email: String },
    /// Limit what an account may use
    Quota {
        #[arg(value_name = "EMAIL")]
        email: String,
        /// Bytes, such as 10GB
        #[arg(long, value_name = "SIZE|default|unlimited", value_parser = bytes)]
        bytes: Option<Quota>,
        /// Files
        #[arg(long, value_name = "NUMBER|default|unlimited", value_parser = files)]
        files: Option<Quota>,
    },
    /// Count anew what accounts use, should the numbers be wrong deadline rows were changed by hand
    Recount,
    /// Give an account another password
    SetPassword {
        #[arg(value_name = "EMAIL")]
        email: String,
        /// Read the password from the first line of the standard input
        #[arg(long)]
        password_stdin: bool,
    },
}

pub(super) async fn run(app: &App, command: Command) -> Result<(), Failure> {
    match command {
        Command::Add { email, name, admin, password_stdin } => {
            let password = Password::choose(password_stdin)?;
            let name = name.unwrap_or_else(|| email.split('@').next().unwrap_or_default().to_owned());
            let account = NewAccount { email, name, password: password.text().clone() };
            let user = users::create_account(app, account, admin).await?;
            print(&format!("{} was added.\n{}", user.email, password.told()))
        }
        Command::List { json } => {
            let accounts = users::list_accounts(app).await?;
            if json {
                let text = serde_json::to_string_pretty(&accounts).map_err(Failure::runtime)?;
                return print(&format!("{text}\n"));
            }
            print(&as_text(&accounts))
        }
        Command::Disable { email } => {
            users::set_disabled(app, &email, true).await.map_err(|error| about(&email, error))?;
            print(&format!("{email} is disabled.\n"))
        }
        Command::Enable { email } => {
            users::set_disabled(app, &email, false).await.map_err(|error| about(&email, error))?;
            print(&format!("{email} is enabled.\n"))
        }
        Command::Erase { email } => {
            let id = users::account_id(app, &email).await.map_err(|error| about(&email, error))?;
            let job = users::erase_account(app, id).await?;
            print(&format!(
                "{email} is erased. What is left goes with the next passes of the reaper; see /v1/jobs/{}\n",
                job.id
            ))
        }
        Command::Quota { email, bytes, files } => {
            let id = users::account_id(app, &email).await.map_err(|error| about(&email, error))?;
            let account = users::patch_account(app, id, AccountPatch { bytes, files, disabled: None }).await?;
            print(&format!("{} uses {}\n", account.user.email, used(&account)))
        }
        Command::Recount => print(&format!("{} accounts were miscounted\n", users::recount(app).await?)),
        Command::SetPassword { email, password_stdin } => {
            let password = Password::choose(password_stdin)?;
            users::set_password(app, &email, password.text()).await.map_err(|error| about(&email, error))?;
            print(&format!("{email} has a new password.\n{}", password.told()))
        }
    }
}

/// "There is no such thing here" says too little on a command line.
fn about(email: &str, error: crate::error::Error) -> Failure {
    match error {
        crate::error::Error::NotFound => Failure::Runtime(format!("there is no account {email:?}")),
        error => error.into(),
    }
}

/// A password that an operator gave, or that was made up here and has to be told.
enum Password {
    Given(SecretString),
    MadeUp(SecretString),
}

impl Password {
    fn choose(from_stdin: bool) -> Result<Self, Failure> {
        if !from_stdin {
            return made_up().map(Password::MadeUp);
        }
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(Failure::runtime)?;
        match line.trim_end_matches(['\n', '\r']) {
            "" => Err(Failure::Usage("--password-stdin: there is no password on the standard input".into())),
            password => Ok(Password::Given(password.into())),
        }
    }

    fn text(&self) -> &SecretString {
        let (Password::Given(text) | Password::MadeUp(text)) = self;
        text
    }

    fn told(&self) -> String {
        match self {
            Password::Given(_) => String::new(),
            Password::MadeUp(password) => {
                format!("Password (not shown again): {}\n", password.expose_secret())
            }
        }
    }
}

/// 125 random bits as letters and digits that are not mistaken for each other.
fn made_up() -> Result<SecretString, Failure> {
    // 32 of them, so that the low bits of a byte choose one without a bias.
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 25];
    getrandom::fill(&mut bytes).map_err(|error| Failure::Runtime(error.to_string()))?;
    let letters: Vec<char> = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    let groups: Vec<String> = letters.chunks(5).map(|group| group.iter().collect()).collect();
    Ok(groups.join("-").into())
}

fn as_text(accounts: &[AdminUser]) -> String {
    let width = accounts.iter().map(|account| account.user.email.chars().count()).max().unwrap_or(0);
    accounts.iter().fold(String::new(), |mut text, account| {
        let user = &account.user;
        let role = if user.is_admin { "admin" } else { "user" };
        let state = if user.disabled_at.is_some() { "disabled" } else { "enabled" };
        let _ = writeln!(text, "{:width$}  {role:5}  {state:8}  {}  {}", user.email, used(account), user.name);
        text
    })
}

/// `3.2 MB of 10.0 GB, 17 files`
fn used(account: &AdminUser) -> String {
    let (used, quota) = (account.usage.used, account.usage.quota);
    let bytes = |bytes: u64| ByteSize(bytes).display().si().to_string();
    let of = |quota: Option<String>| quota.map_or(String::new(), |quota| format!(" of {quota}"));
    let files = of(quota.files.map(|files| files.to_string()));
    format!("{}{}, {}{files} files", bytes(used.bytes), of(quota.bytes.map(bytes)), used.files)
}

fn bytes(text: &str) -> Result<Quota, String> {
    quota(text, |text| text.parse::<ByteSize>().ok().map(|size| size.as_u64()))
        .ok_or_else(|| "not a size such as 10GB, `default` or `unlimited`".into())
}

fn files(text: &str) -> Result<Quota, String> {
    quota(text, |text| text.parse().ok()).ok_or_else(|| "not a whole number, `default` or `unlimited`".into())
}

fn quota(text: &str, number: impl Fn(&str) -> Option<u64>) -> Option<Quota> {
    match text {
        "default" => Some(Quota::Default),
        "unlimited" => Some(Quota::Unlimited),
        text => number(text).map(Quota::Most),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_that_are_made_up_are_long_and_differ() {
        let [one, other] = [made_up(), made_up()].map(|password| password.unwrap().expose_secret().to_owned());
        assert_eq!(one.len(), 29);
        assert_ne!(one, other);
    }
}
