//! What is PostgreSQL's alone: settings that are its owner's, and a clock of its own.

use sqlx::PgPool;

use crate::clock::from_micros;
use crate::health::check::{Check, ProbeOptions};

const SETTINGS: &str = "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', \
    'synchronous_commit', 'server_encoding', 'max_connections', 'superuser_reserved_connections')";
const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

pub(super) async fn checks(pool: &PgPool, probing: &ProbeOptions) -> Vec<Check> {
    let tried = "ask for its settings";
    let settings = sqlx::query_as::<_, (String, String)>(SETTINGS).fetch_all(pool).await;
    let mut checks = match settings {
        Ok(settings) => {
            let setting = |name: &str| {
                settings.iter().find(|(found, _)| found == name).map_or("unknown", |(_, setting)| setting.as_str())
            };
            vec![
                durability(setting),
                encoding(setting("server_encoding")),
                room(pool.options().get_max_connections(), setting),
            ]
        }
        Err(error) => vec![Check::skipped("database.durability", tried, error.to_string())],
    };
    checks.push(clock(pool, probing).await);
    checks
}

fn durability<'a>(setting: impl Fn(&str) -> &'a str) -> Check {
    let name = "database.durability";
    let tried = "ask for fsync, full_page_writes and synchronous_commit";
    let off: Vec<_> =
        ["fsync", "full_page_writes", "synchronous_commit"].into_iter().filter(|name| setting(name) == "off").collect();
    match off.is_empty() {
        true => Check::ok(name, tried, "none of them is off"),
        false => Check::warning(
            name,
            tried,
            format!("off: {}", off.join(", ")),
            "switch them on: after a power cut, uploads that were acknowledged may be gone, or the database damaged",
        ),
    }
}

fn encoding(encoding: &str) -> Check {
    let name = "database.encoding";
    let tried = "ask for its encoding";
    match encoding {
        "UTF8" => Check::ok(name, tried, "UTF8"),
        other => Check::failed(name, tried, other, "make the database anew with ENCODING 'UTF8': names need it"),
    }
}

fn room<'a>(wanted: u32, setting: impl Fn(&str) -> &'a str) -> Check {
    let name = "database.connections";
    let tried = format!("compare max_connections with the {wanted} of STRONGROOM_DATABASE_CONNECTIONS");
    let number = |name: &str| setting(name).parse::<u32>().unwrap_or_default();
    let most = number("max_connections").saturating_sub(number("superuser_reserved_connections"));
    match wanted <= most {
        true => Check::ok(name, tried, format!("{most} are to be had, for all of its users and servers together")),
        false => Check::warning(
            name,
            tried,
            format!("only {most} are to be had"),
            "lower STRONGROOM_DATABASE_CONNECTIONS, or raise max_connections",
        ),
    }
}

async fn clock(pool: &PgPool, probing: &ProbeOptions) -> Check {
    let name = "database.clock";
    match sqlx::query_scalar(CLOCK).fetch_one(pool).await {
        Ok(micros) => Check::clock(name, "the database's", from_micros(micros), probing.clock.now()),
        Err(error) => Check::skipped(name, "ask for its clock", error.to_string()),
    }
}
