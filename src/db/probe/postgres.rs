//! Checks of PostgreSQL: its settings and its clock.

use sqlx::PgPool;

use crate::clock::from_micros;
use crate::health::check::{Check, ProbeOptions};

const SETTINGS: &str = "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', \
    'synchronous_commit', 'server_encoding', 'max_connections', 'superuser_reserved_connections')";
const CLOCK: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

pub(super) async fn checks(pool: &PgPool, options: &ProbeOptions) -> Vec<Check> {
    let action = "query its settings";
    let settings = sqlx::query_as::<_, (String, String)>(SETTINGS).fetch_all(pool).await;
    let mut checks = match settings {
        Ok(settings) => {
            let setting = |name: &str| {
                settings.iter().find(|(found, _)| found == name).map_or("unknown", |(_, setting)| setting.as_str())
            };
            vec![
                durability(setting),
                encoding(setting("server_encoding")),
                connections(pool.options().get_max_connections(), setting),
            ]
        }
        Err(error) => vec![Check::skipped("database.durability", action, error.to_string())],
    };
    checks.push(clock(pool, options).await);
    checks
}

fn durability<'a>(setting: impl Fn(&str) -> &'a str) -> Check {
    let name = "database.durability";
    let action = "query fsync, full_page_writes and synchronous_commit";
    let off: Vec<_> =
        ["fsync", "full_page_writes", "synchronous_commit"].into_iter().filter(|name| setting(name) == "off").collect();
    match off.is_empty() {
        true => Check::ok(name, action, "all of them are on"),
        false => Check::warning(
            name,
            action,
            format!("off: {}", off.join(", ")),
            "turn them on: a power failure may lose acknowledged uploads, or damage the database",
        ),
    }
}

fn encoding(encoding: &str) -> Check {
    let name = "database.encoding";
    let action = "query its encoding";
    match encoding {
        "UTF8" => Check::ok(name, action, "UTF8"),
        other => Check::failed(name, action, other, "create the database with ENCODING 'UTF8', which names require"),
    }
}

fn connections<'a>(configured: u32, setting: impl Fn(&str) -> &'a str) -> Check {
    let name = "database.connections";
    let action =
        format!("compare max_connections with the {configured} of STRONGROOM_DATABASE_CONNECTIONS, and one more");
    let number = |name: &str| setting(name).parse::<u32>().unwrap_or_default();
    let available = number("max_connections").saturating_sub(number("superuser_reserved_connections"));
    // The lock of the instance has a connection of its own.
    match configured < available {
        true => Check::ok(name, action, format!("{available} are available to all clients and servers together")),
        false => Check::warning(
            name,
            action,
            format!("only {available} are available"),
            "lower STRONGROOM_DATABASE_CONNECTIONS, or raise max_connections",
        ),
    }
}

async fn clock(pool: &PgPool, options: &ProbeOptions) -> Check {
    let name = "database.clock";
    match sqlx::query_scalar(CLOCK).fetch_one(pool).await {
        Ok(micros) => Check::clock(name, "the database's", from_micros(micros), options.clock.now()),
        Err(error) => Check::skipped(name, "query its clock", error.to_string()),
    }
}
