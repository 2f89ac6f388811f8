//! `strongroom user ...`: manages accounts, whether the server runs or not.

use std::fmt::Write;
use std::io::BufRead;

use bytesize::ByteSize;
use secrecy::{ExposeSecret, SecretString};

use super::{Failure, print};
use crate::app::App;
use crate::users::{self, AdminUser, NewAccount, Quota, UpdateUser};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Create a user; prints a generated password unless one is given on stdin
    Add {
        #[arg(value_name = "EMAIL")]
        email: String,
        /// Display name (default: the local part of the address)
        #[arg(long)]
        name: Option<String>,
        /// Grant admin rights
        #[arg(long)]
        admin: bool,
        /// Read the password from the first line of stdin
        #[arg(long)]
        password_stdin: bool,
        /// Do not require the user to change the password at the first sign-in
        #[arg(long)]
        permanent: bool,
    },
    /// List users and their storage usage
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Disable a user: end all sessions, refuse the password and API tokens
    Disable {
        #[arg(value_name = "EMAIL")]
        email: String,
    },
    /// Enable a disabled user
    Enable {
        #[arg(value_name = "EMAIL")]
        email: String,
    },
    /// Permanently delete a user and all their data
    Delete {
        #[arg(value_name = "EMAIL")]
        email: String,
    },
    /// Set the quota of a user
    Quota {
        #[arg(value_name = "EMAIL")]
        email: String,
        /// Quota of bytes, such as 10GB
        #[arg(long, value_name = "SIZE|default|unlimited", value_parser = bytes)]
        bytes: Option<Quota>,
        /// Quota of files
        #[arg(long, value_name = "NUMBER|default|unlimited", value_parser = files)]
        files: Option<Quota>,
    },
    /// Recalculate storage usage of all users
    Recount,
    /// Set a password; prints a generated one unless one is given on stdin
    SetPassword {
        #[arg(value_name = "EMAIL")]
        email: String,
        /// Read the password from the first line of stdin
        #[arg(long)]
        password_stdin: bool,
        /// Do not require the user to change the password at the next sign-in
        #[arg(long)]
        permanent: bool,
    },
}

pub(super) async fn run(app: &App, command: Command) -> Result<(), Failure> {
    match command {
        Command::Add { email, name, admin, password_stdin, permanent } => {
            let password = Password::choose(password_stdin)?;
            let name = name.unwrap_or_else(|| email.split('@').next().unwrap_or_default().to_owned());
            let account =
                NewAccount { email, name, password: password.text().clone(), must_change_password: !permanent };
            let user = users::create_account(app, account, admin).await?;
            print(&format!("Created {}.\n{}{}", user.email, password.to_print(), must_change(permanent)))
        }
        Command::List { json } => {
            let accounts = users::all_users(app).await?;
            if json {
                let text = serde_json::to_string_pretty(&accounts).map_err(Failure::runtime)?;
                return print(&format!("{text}\n"));
            }
            print(&as_text(&accounts))
        }
        Command::Disable { email } => {
            users::set_disabled(app, &email, true).await.map_err(|error| about(&email, error))?;
            print(&format!("Disabled {email}.\n"))
        }
        Command::Enable { email } => {
            users::set_disabled(app, &email, false).await.map_err(|error| about(&email, error))?;
            print(&format!("Enabled {email}.\n"))
        }
        Command::Delete { email } => {
            let id = users::user_id(app, &email).await.map_err(|error| about(&email, error))?;
            let job = users::delete_account(app, None, id).await?;
            print(&format!("Deleted {email}. Deletion continues in the background; status: /v1/jobs/{}\n", job.id))
        }
        Command::Quota { email, bytes, files } => {
            let id = users::user_id(app, &email).await.map_err(|error| about(&email, error))?;
            let account = users::update_user(app, None, id, UpdateUser { bytes, files, disabled: None }).await?;
            print(&format!("{} uses {}\n", account.user.email, used(&account)))
        }
        Command::Recount => print(&format!("corrected the usage of {} users\n", users::recalculate_usage(app).await?)),
        Command::SetPassword { email, password_stdin, permanent } => {
            let password = Password::choose(password_stdin)?;
            let set = users::set_password(app, &email, password.text(), !permanent).await;
            set.map_err(|error| about(&email, error))?;
            print(&format!("Set a new password for {email}.\n{}{}", password.to_print(), must_change(permanent)))
        }
    }
}

/// The error of a command on one user; `not found` alone would not say what was not found.
fn about(email: &str, error: crate::error::Error) -> Failure {
    match error {
        crate::error::Error::NotFound => Failure::Runtime(format!("there is no user {email:?}")),
        error => error.into(),
    }
}

/// A password that the operator chose, or that was generated and must be printed.
enum Password {
    Chosen(SecretString),
    Generated(SecretString),
}

impl Password {
    fn choose(from_stdin: bool) -> Result<Self, Failure> {
        if !from_stdin {
            return generated().map(Password::Generated);
        }
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(Failure::runtime)?;
        match line.trim_end_matches(['\n', '\r']) {
            "" => Err(Failure::Usage("--password-stdin: there is no password on stdin".into())),
            password => Ok(Password::Chosen(password.into())),
        }
    }

    fn text(&self) -> &SecretString {
        let (Password::Chosen(text) | Password::Generated(text)) = self;
        text
    }

    /// The line that shows a generated password.
    fn to_print(&self) -> String {
        match self {
            Password::Chosen(_) => String::new(),
            Password::Generated(password) => {
                format!("Password (not shown again): {}\n", password.expose_secret())
            }
        }
    }
}

fn must_change(permanent: bool) -> &'static str {
    if permanent { "" } else { "The user must change it at the next sign-in.\n" }
}

/// 125 random bits as letters and digits that cannot be confused with each other.
fn generated() -> Result<SecretString, Failure> {
    // 32 of them, so that the low bits of a byte select one without bias.
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
        text => number(text).map(Quota::Limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_passwords_are_long_and_differ() {
        let [one, other] = [generated(), generated()].map(|password| password.unwrap().expose_secret().to_owned());
        assert_eq!(one.len(), 29);
        assert_ne!(one, other);
    }
}
