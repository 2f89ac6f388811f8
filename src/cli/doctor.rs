//! `strongroom doctor`: checks of the configuration, the database and the store.

use std::os::unix::fs::PermissionsExt;

use bytesize::ByteSize;
use secrecy::ExposeSecret;
use serde_json::json;
use url::Url;

use super::{Failure, print};
use crate::clock::Clock;
use crate::config::{Config, ContainerLimits, StoreConfig};
use crate::db::probe_database;
use crate::health::check::{Check, Outcome, ProbeLevel, ProbeOptions};
use crate::net::{is_loopback, unreachable_reason};
use crate::store::{S3Store, Store, probe_disk};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Also run slow checks; sends 11 MiB to a bucket
    #[arg(long)]
    deep: bool,
}

/// Opens nothing as the server does: it neither creates directories nor applies migrations.
pub(super) async fn run(config: &Config, limits: ContainerLimits, options: &Options) -> Result<(), Failure> {
    let level = if options.deep { ProbeLevel::Deep } else { ProbeLevel::Full };
    let probing = ProbeOptions { level, clock: Clock::default(), public_url: config.public_url.clone() };
    let mut checks = addresses(config);
    checks.push(memory(config, limits));
    checks.extend(rights(config));
    checks.extend(probe_database(config.database_url.expose_secret(), config.database_connections, &probing).await);
    checks.extend(store(config, probing).await?);
    let count = |outcome| checks.iter().filter(|check| check.outcome == outcome).count();
    let failed = count(Outcome::Failed);
    if options.json {
        print(&format!("{:#}\n", json!({"ok": failed == 0, "checks": checks})))?;
    } else {
        let lines: String = checks.iter().map(|check| format!("{check}\n")).collect();
        let summary = [Outcome::Ok, Outcome::Warning, Outcome::Failed, Outcome::Skipped]
            .map(|outcome| format!("{} {}", count(outcome), outcome.as_str()));
        print(&format!("{lines}{}\n", summary.join(", ")))?;
    }
    match failed {
        0 => Ok(()),
        1 => Err(Failure::Runtime("a check failed".into())),
        failed => Err(Failure::Runtime(format!("{failed} checks failed"))),
    }
}

async fn store(config: &Config, probing: ProbeOptions) -> Result<Vec<Check>, Failure> {
    match &config.store {
        StoreConfig::S3(s3) => Ok(S3Store::open(s3, &config.uploads)?.probe(&probing).await),
        StoreConfig::Disk { root } => {
            let root = root.clone();
            let probing = tokio::task::spawn_blocking(move || probe_disk(&root, probing.level));
            probing.await.map_err(Failure::runtime)
        }
    }
}

/// Whether the budgets fit into the memory of the container.
fn memory(config: &Config, limits: ContainerLimits) -> Check {
    let (name, needed) = ("server.memory", config.expected_memory());
    let Some(limit) = limits.memory else {
        return Check::ok(name, "look for a memory limit", "there is no limit");
    };
    let action = format!("compare the budgets, {} in all, with the memory limit", ByteSize(needed));
    match needed <= limit {
        true => Check::ok(name, action, format!("the limit is {}", ByteSize(limit))),
        false => Check::warning(
            name,
            action,
            format!("the limit is {}", ByteSize(limit)),
            "leave STRONGROOM_UPLOAD_MEMORY, STRONGROOM_REQUEST_MEMORY and STRONGROOM_PASSWORD_HASH_CONCURRENCY unset, \
            lower them, or raise the limit",
        ),
    }
}

/// Whether only the user that runs the server can read what must stay secret. The key is checked whenever it is read.
fn rights(config: &Config) -> Vec<Check> {
    let tls_key = config.tls.as_ref().map(|tls| tls.key.as_path());
    let private = [
        ("server.settings_file", config.settings_file.as_deref(), "chmod 600"),
        ("server.tls_key", tls_key, "chmod 600"),
        ("server.data_dir", Some(config.data_dir.as_path()), "chmod 700"),
    ];
    let checks = private.into_iter().filter_map(|(name, path, command)| {
        let path = path?;
        // What does not exist is created with the right mode, or reported where it is needed.
        let mode = std::fs::metadata(path).ok()?.permissions().mode();
        let action = format!("check who can read {}", path.display());
        Some(match mode & 0o077 {
            0 => Check::ok(name, action, "its owner only"),
            _ => Check::warning(
                name,
                action,
                format!("mode {:04o}: other users of this machine can", mode & 0o7777),
                format!("{command} {}", path.display()),
            ),
        })
    });
    checks.collect()
}

/// Whether clients can use the URLs in responses.
fn addresses(config: &Config) -> Vec<Check> {
    let public_url = &config.public_url;
    let mut checks = vec![{
        let (name, action) = ("server.public_url", format!("check {public_url}"));
        match public_url.scheme() == "https" || is_loopback(public_url) {
            true => Check::ok(name, action, "clients can use it"),
            false => Check::warning(
                name,
                action,
                "passwords and files cross the network unencrypted",
                "terminate TLS in a proxy or with STRONGROOM_TLS_CERT, and use https:// in STRONGROOM_PUBLIC_URL",
            ),
        }
    }];
    if let StoreConfig::S3(s3) = &config.store
        && let Some(endpoint) = s3.public_endpoint.as_ref().or(s3.endpoint.as_ref())
    {
        checks.push(signed_urls(public_url, endpoint));
    }
    checks
}

fn signed_urls(public_url: &Url, endpoint: &Url) -> Check {
    let (name, action) = ("server.signed_urls", format!("check {endpoint}, the base of signed URLs"));
    match unreachable_reason(public_url, endpoint) {
        None => Check::ok(name, action, "clients can use it"),
        Some(reason) => {
            Check::warning(name, action, reason, "set STRONGROOM_S3_PUBLIC_ENDPOINT to the public address of the store")
        }
    }
}
