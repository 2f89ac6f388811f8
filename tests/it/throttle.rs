//! Throttling of password guesses and registrations.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::accounts::{log_in, register};
use crate::support::client::{Answer, Ask, path};
use crate::support::links::create_link;
use crate::support::{Client, PASSWORD, Setup, TestApp, both, email};

const WRONG: &str = "not her password";

/// The seconds of the Retry-After header.
fn retry_after(answer: &Answer) -> u64 {
    answer.problem(429, "too_many_attempts");
    answer.header("retry-after").parse().expect("whole seconds")
}

async fn guess(app: &TestApp, name: &str) -> Answer {
    log_in(&app.anonymous(), &email(name), WRONG).await
}

async fn sign_in(app: &TestApp, name: &str) -> Answer {
    log_in(&app.anonymous(), &email(name), PASSWORD).await
}

async fn sign_in_from(client: &Client, name: &str, forwarded: &str) -> u16 {
    let request = client.post("/v1/auth/login").header("x-forwarded-for", forwarded);
    request.json(&json!({"email": email(name), "password": WRONG})).answer().await.status
}

both! {
    async fn guesses_are_limited_per_account(app: TestApp) {
        let app = app.restart_with(|config| config.auth.logins_per_account = 3).await;
        let (ann, _bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        for _ in 0..3 {
            guess(&app, "ann").await.problem(401, "bad_credentials");
        }
        let seconds = retry_after(&guess(&app, "ann").await);
        assert!((1..=900).contains(&seconds), "{seconds}");
        // The right password is refused too, and so is another spelling of the address.
        retry_after(&sign_in(&app, "ann").await);
        retry_after(&log_in(&app.anonymous(), " ANN@Example.ORG", PASSWORD).await);
        // Other accounts and existing sessions are not affected.
        assert_eq!(sign_in(&app, "bob").await.status, 200);
        assert_eq!(ann.get("/v1/me").answer().await.status, 200);

        app.advance(Duration::from_secs(seconds));
        assert_eq!(sign_in(&app, "ann").await.status, 200);
    }

    async fn the_networks_of_one_site_share_a_limit(app: TestApp) {
        let app = app.restart_with(|config| {
            config.auth.logins_per_address = 1;
            config.auth.logins_per_account = 1000;
            config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        }).await;
        let stranger = app.anonymous();
        for network in 0..10 {
            assert_eq!(sign_in_from(&stranger, "ann", &format!("2001:db8:7:{network}::1")).await, 401);
        }
        assert_eq!(sign_in_from(&stranger, "ann", "2001:db8:7:99::1").await, 429);
        assert_eq!(sign_in_from(&stranger, "ann", "2001:db8:8::1").await, 401);
        // All networks of 6to4 that belong to an IPv4 address are that address.
        assert_eq!(sign_in_from(&stranger, "ann", "192.0.2.7").await, 401);
        assert_eq!(sign_in_from(&stranger, "ann", "2002:c000:207:1::1").await, 429);
    }

    async fn passwords_that_could_not_be_checked_do_not_count(app: TestApp) {
        let app = app.restart_with(|config| config.auth.logins_per_account = 3).await;
        app.sign_up("ann").await;
        app.execute("ALTER TABLE users RENAME TO users_away").await;
        for _ in 0..5 {
            assert_eq!(sign_in(&app, "ann").await.status, 500);
        }
        app.execute("ALTER TABLE users_away RENAME TO users").await;
        assert_eq!(sign_in(&app, "ann").await.status, 200);
        for _ in 0..3 {
            assert_eq!(guess(&app, "ann").await.status, 401);
        }
        assert_eq!(sign_in(&app, "ann").await.status, 429);
    }

    async fn what_has_succeeded_does_not_fail_with_its_counter(app: TestApp) {
        let ann = app.sign_up("ann").await;
        match app.setup {
            Setup::SqliteAndDisk => {
                app.execute("CREATE TRIGGER stuck BEFORE DELETE ON throttles BEGIN SELECT RAISE(ABORT, 'stuck'); END").await;
            }
            Setup::PostgresAndS3 => {
                app.execute("CREATE FUNCTION stuck() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''stuck''; END'").await;
                app.execute("CREATE TRIGGER stuck BEFORE DELETE ON throttles FOR EACH ROW EXECUTE FUNCTION stuck()").await;
            }
        }
        assert_eq!(sign_in(&app, "ann").await.status, 200);
        let password = json!({"current_password": PASSWORD, "password": "violet tractor under rain"});
        let changed = ann.patch("/v1/me").json(&password).answer().await;
        assert_eq!(changed.status, 200, "{}", changed.text());
        let deletion = json!({"password": "violet tractor under rain"});
        let deleted = ann.delete("/v1/me").json(&deletion).answer().await;
        assert_eq!((deleted.status, &deleted.json()["job"]["kind"]), (202, &json!("account_deletion")), "{}", deleted.text());
    }

    async fn unknown_accounts_are_throttled_alike(app: TestApp) {
        let app = app.restart_with(|config| config.auth.logins_per_account = 2).await;
        app.sign_up("ann").await;
        for name in ["ann", "nobody"] {
            for _ in 0..2 {
                guess(&app, name).await.problem(401, "bad_credentials");
            }
            retry_after(&guess(&app, name).await);
        }
        app.assert_in_no_row(&["nobody@example.org"]).await;
    }

    async fn simultaneous_guesses_do_not_exceed_the_limit(app: TestApp) {
        let app = app.restart_with(|config| config.auth.logins_per_account = 3).await;
        app.sign_up("ann").await;
        let answers = join_all((0..12).map(|_| guess(&app, "ann"))).await;
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort();
        assert_eq!(statuses, [vec![401; 3], vec![429; 9]].concat());
    }

    async fn simultaneous_right_passwords_all_succeed(app: TestApp) {
        let app = app
            .restart_with(|config| {
                config.auth.logins_per_account = 4;
                config.auth.logins_per_address = 6;
            })
            .await;
        let ann = app.sign_up("ann").await;
        let link = create_link(&ann, &ann.upload("a", "a").await, json!({"password": PASSWORD})).await;
        let unlock = format!("/l/{}/unlock", link["url"].as_str().unwrap().rsplit('/').next().unwrap());
        for _ in 0..3 {
            guess(&app, "ann").await.problem(401, "bad_credentials");
        }
        let sign_ins = join_all((0..25).map(|_| async { sign_in(&app, "ann").await.status }));
        let unlocks = join_all((0..15).map(|_| async {
            app.anonymous().post(&unlock).json(&json!({"password": PASSWORD})).answer().await.status
        }));
        assert_eq!(futures_util::join!(sign_ins, unlocks), (vec![200; 25], vec![200; 15]));
        // The failures before them still count for the address.
        for _ in 0..3 {
            guess(&app, "bob").await.problem(401, "bad_credentials");
        }
        retry_after(&guess(&app, "bob").await);
    }

    async fn right_passwords_among_wrong_ones_do_not_raise_the_limit(app: TestApp) {
        let app = app.restart_with(|config| config.auth.logins_per_address = 5).await;
        app.sign_up("ann").await;
        let attempts = (0..24).map(|number| {
            let (app, name) = (&app, format!("nobody{number}"));
            async move {
                match number % 2 {
                    0 => guess(app, &name).await.status,
                    _ => sign_in(app, "ann").await.status,
                }
            }
        });
        let statuses = join_all(attempts).await;
        assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 5, "{statuses:?}");
    }

    async fn new_passwords_are_throttled_per_account(app: TestApp) {
        let app = app.restart_with(|config| config.auth.logins_per_address = 3).await;
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        let file = ann.upload("a", "a").await;
        let link = create_link(&ann, &file, json!({"password": PASSWORD})).await;
        let patch = |password: &str| ann.patch(&format!("/v1/links/{}", link["id"].as_str().unwrap())).json(&json!({"password": password})).answer();
        assert_eq!(patch("purple harvest engine").await.status, 200);
        patch("password").await.problem(422, "invalid");
        let create = |password: serde_json::Value| ann.post(&format!("{}/links", path(&file))).json(&json!({"password": password})).answer();
        retry_after(&create(json!(PASSWORD)).await);
        retry_after(&patch(PASSWORD).await);
        let change = json!({"current_password": PASSWORD, "password": "violet tractor above snow"});
        let seconds = retry_after(&ann.patch("/v1/me").json(&change).answer().await);
        // Nothing else is affected, and no other account.
        assert_eq!(create(json!(null)).await.status, 201);
        assert_eq!(bob.patch("/v1/me").json(&change).answer().await.status, 200);
        app.advance(Duration::from_secs(seconds));
        assert_eq!(create(json!(PASSWORD)).await.status, 201);
    }

    async fn a_restart_keeps_the_throttle_counters(app: TestApp) {
        let app = app.restart_with(|config| config.auth.logins_per_account = 2).await;
        app.sign_up("ann").await;
        guess(&app, "ann").await.problem(401, "bad_credentials");
        guess(&app, "ann").await.problem(401, "bad_credentials");
        let app = app.restart().await;
        retry_after(&sign_in(&app, "ann").await);
        app.reap().await;
        retry_after(&sign_in(&app, "ann").await);
    }

    async fn a_success_resets_the_counter(app: TestApp) {
        let app = app.restart_with(|config| config.auth.logins_per_account = 3).await;
        app.sign_up("ann").await;
        for _ in 0..3 {
            guess(&app, "ann").await.problem(401, "bad_credentials");
            guess(&app, "ann").await.problem(401, "bad_credentials");
            assert_eq!(sign_in(&app, "ann").await.status, 200);
        }
    }

    async fn a_password_set_by_the_operator_resets_the_counter(app: TestApp) {
        let app = app.restart_with(|config| config.auth.logins_per_account = 1).await;
        app.sign_up("ann").await;
        guess(&app, "ann").await.problem(401, "bad_credentials");
        retry_after(&sign_in(&app, "ann").await);
        strongroom::users::set_password(&app.app, &email("ann"), &PASSWORD.into(), false).await.unwrap();
        assert_eq!(sign_in(&app, "ann").await.status, 200);
    }

    async fn guesses_of_the_current_password_are_throttled(app: TestApp) {
        let app = app.restart_with(|config| config.auth.logins_per_account = 2).await;
        let ann = app.sign_up("ann").await;
        let body = json!({"current_password": WRONG, "password": "violet tractor under rain"});
        let change = || ann.patch("/v1/me").json(&body).answer();
        change().await.problem(422, "invalid");
        change().await.problem(422, "invalid");
        retry_after(&change().await);
        retry_after(&sign_in(&app, "ann").await);
        // A change of the name requires no password.
        assert_eq!(ann.patch("/v1/me").json(&json!({"name": "Ann"})).answer().await.status, 200);
    }

    async fn guesses_are_limited_per_address(app: TestApp) {
        let app = app.restart_with(|config| config.auth.logins_per_address = 4).await;
        app.sign_up("ann").await;
        // Successful attempts are not counted.
        for _ in 0..6 {
            assert_eq!(sign_in(&app, "ann").await.status, 200);
        }
        for name in ["bob", "cleo", "dora", "emil"] {
            guess(&app, name).await.problem(401, "bad_credentials");
        }
        let seconds = retry_after(&guess(&app, "fred").await);
        retry_after(&sign_in(&app, "ann").await);
        app.advance(Duration::from_secs(seconds));
        assert_eq!(sign_in(&app, "ann").await.status, 200);
    }

    async fn forwarded_addresses_of_untrusted_clients_are_ignored(app: TestApp) {
        let app = app.restart_with(|config| config.auth.logins_per_address = 3).await;
        for number in 0..3 {
            assert_eq!(sign_in_from(&app.anonymous(), &format!("name{number}"), &format!("192.0.2.{number}")).await, 401);
        }
        assert_eq!(sign_in_from(&app.anonymous(), "name4", "192.0.2.4").await, 429);
    }

    async fn forwarded_addresses_of_trusted_proxies_are_used(app: TestApp) {
        let app = app
            .restart_with(|config| {
                config.auth.logins_per_address = 2;
                config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
            })
            .await;
        let client = app.anonymous();
        for forwarded in ["192.0.2.1", "6.6.6.6, 192.0.2.1"] {
            assert_eq!(sign_in_from(&client, "one", forwarded).await, 401);
        }
        // The proxy adds the last address; the others may be forged.
        assert_eq!(sign_in_from(&client, "two", "198.51.100.1, 192.0.2.1").await, 429);
        assert_eq!(sign_in_from(&client, "two", "192.0.2.2").await, 401);
        // IPv6 addresses are counted by network.
        for address in ["2001:db8::1", "2001:db8::2"] {
            assert_eq!(sign_in_from(&client, "three", address).await, 401);
        }
        assert_eq!(sign_in_from(&client, "three", "2001:db8::3").await, 429);
        assert_eq!(sign_in_from(&client, "three", "2001:db8:0:1::3").await, 401);
    }

    async fn registrations_are_limited_per_address(app: TestApp) {
        let app = app.restart_with(|config| config.auth.registrations_per_address = 3).await;
        let stranger = app.anonymous();
        // Invalid requests are not counted.
        for _ in 0..5 {
            register(&stranger, "no address", "Ann", PASSWORD).await.problem(422, "invalid");
        }
        let names: Vec<_> = (0..8).map(|number| email(&format!("n{number}"))).collect();
        let asked = names.iter().map(|name| register(&stranger, name, "N", PASSWORD));
        let answers = join_all(asked).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 3);
        let throttled = answers.iter().find(|answer| answer.status == 429).unwrap();
        let seconds = retry_after(throttled);
        app.advance(Duration::from_secs(seconds));
        assert_eq!(register(&stranger, &email("later"), "L", PASSWORD).await.status, 201);
    }
}
