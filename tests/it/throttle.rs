//! Guessing passwords: a few times, and then not for a while, from however many places at once.

use std::time::Duration;

use serde_json::json;

use crate::support::accounts::{log_in, register};
use crate::support::client::{Answer, Ask};
use crate::support::{Client, PASSWORD, Setup, TestApp, both, email};

const WRONG: &str = "not her password";

/// The seconds after which one may try again.
fn retry_after(answer: &Answer) -> u64 {
    answer.problem(429, "too_many_attempts");
    answer.header("retry-after").parse().expect("whole seconds")
}

async fn guess(app: &TestApp, name: &str) -> Answer {
    log_in(&app.stranger(), &email(name), WRONG).await
}

async fn sign_in(app: &TestApp, name: &str) -> Answer {
    log_in(&app.stranger(), &email(name), PASSWORD).await
}

async fn sign_in_from(client: &Client, name: &str, forwarded: &str) -> u16 {
    let request = client.post("/v1/auth/login").header("x-forwarded-for", forwarded);
    request.json(&json!({"email": email(name), "password": WRONG})).answer().await.status
}

both! {
    async fn an_account_stands_so_many_guesses(app: TestApp) {
        let app = app.restart_with(|config| config.auth.logins_per_account = 3).await;
        let (ann, _bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        for _ in 0..3 {
            guess(&app, "ann").await.problem(401, "bad_credentials");
        }
        let seconds = retry_after(&guess(&app, "ann").await);
        assert!((1..=900).contains(&seconds), "{seconds}");
        // The right password is no way around it, nor is another spelling.
        retry_after(&sign_in(&app, "ann").await);
        retry_after(&log_in(&app.stranger(), " ANN@Example.ORG", PASSWORD).await);
        // Nobody else suffers, and whoever is signed in stays so.
        assert_eq!(sign_in(&app, "bob").await.status, 200);
        assert_eq!(ann.get("/v1/me").answer().await.status, 200);

        app.advance(Duration::from_secs(seconds));
        assert_eq!(sign_in(&app, "ann").await.status, 200);
    }

    async fn an_address_without_an_account_is_counted_alike(app: TestApp) {
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

    async fn guesses_made_at_once_do_not_pass_together(app: TestApp) {
        let app = app.restart_with(|config| config.auth.logins_per_account = 3).await;
        app.sign_up("ann").await;
        let answers = futures_util::future::join_all((0..12).map(|_| guess(&app, "ann"))).await;
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort();
        assert_eq!(statuses, [vec![401; 3], vec![429; 9]].concat());
    }

    async fn a_restart_forgives_nobody(app: TestApp) {
        let app = app.restart_with(|config| config.auth.logins_per_account = 2).await;
        app.sign_up("ann").await;
        guess(&app, "ann").await.problem(401, "bad_credentials");
        guess(&app, "ann").await.problem(401, "bad_credentials");
        let app = app.restart().await;
        retry_after(&sign_in(&app, "ann").await);
        app.reap().await;
        retry_after(&sign_in(&app, "ann").await);
    }

    async fn a_success_begins_a_new_count(app: TestApp) {
        let app = app.restart_with(|config| config.auth.logins_per_account = 3).await;
        app.sign_up("ann").await;
        for _ in 0..3 {
            guess(&app, "ann").await.problem(401, "bad_credentials");
            guess(&app, "ann").await.problem(401, "bad_credentials");
            assert_eq!(sign_in(&app, "ann").await.status, 200);
        }
    }

    async fn the_operator_can_forgive(app: TestApp) {
        let app = app.restart_with(|config| config.auth.logins_per_account = 1).await;
        app.sign_up("ann").await;
        guess(&app, "ann").await.problem(401, "bad_credentials");
        retry_after(&sign_in(&app, "ann").await);
        strongroom::users::set_password(&app.app, &email("ann"), &PASSWORD.into()).await.unwrap();
        assert_eq!(sign_in(&app, "ann").await.status, 200);
    }

    async fn whoever_is_signed_in_guesses_no_better(app: TestApp) {
        let app = app.restart_with(|config| config.auth.logins_per_account = 2).await;
        let ann = app.sign_up("ann").await;
        let body = json!({"current_password": WRONG, "password": "violet tractor under rain"});
        let change = || ann.patch("/v1/me").json(&body).answer();
        change().await.problem(422, "invalid");
        change().await.problem(422, "invalid");
        retry_after(&change().await);
        retry_after(&sign_in(&app, "ann").await);
        // A name needs no password.
        assert_eq!(ann.patch("/v1/me").json(&json!({"name": "Ann"})).answer().await.status, 200);
    }

    async fn one_place_cannot_try_many_accounts(app: TestApp) {
        let app = app.restart_with(|config| config.auth.logins_per_address = 4).await;
        app.sign_up("ann").await;
        // What succeeds costs nothing.
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

    async fn where_a_stranger_says_to_come_from_counts_for_nothing(app: TestApp) {
        let app = app.restart_with(|config| config.auth.logins_per_address = 3).await;
        for number in 0..3 {
            assert_eq!(sign_in_from(&app.stranger(), &format!("name{number}"), &format!("192.0.2.{number}")).await, 401);
        }
        assert_eq!(sign_in_from(&app.stranger(), "name4", "192.0.2.4").await, 429);
    }

    async fn a_trusted_proxy_tells_where_people_come_from(app: TestApp) {
        let app = app
            .restart_with(|config| {
                config.auth.logins_per_address = 2;
                config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
            })
            .await;
        let client = app.stranger();
        for forwarded in ["192.0.2.1", "6.6.6.6, 192.0.2.1"] {
            assert_eq!(sign_in_from(&client, "one", forwarded).await, 401);
        }
        // The proxy wrote the last address; what stands before it may be made up.
        assert_eq!(sign_in_from(&client, "two", "198.51.100.1, 192.0.2.1").await, 429);
        assert_eq!(sign_in_from(&client, "two", "192.0.2.2").await, 401);
        // Whoever has one address of an IPv6 network has them all.
        for address in ["2001:db8::1", "2001:db8::2"] {
            assert_eq!(sign_in_from(&client, "three", address).await, 401);
        }
        assert_eq!(sign_in_from(&client, "three", "2001:db8::3").await, 429);
        assert_eq!(sign_in_from(&client, "three", "2001:db8:0:1::3").await, 401);
    }

    async fn registrations_are_counted_by_address(app: TestApp) {
        let app = app.restart_with(|config| config.auth.registrations_per_address = 3).await;
        let stranger = app.stranger();
        // What is refused as it stands costs nothing.
        for _ in 0..5 {
            register(&stranger, "no address", "Ann", PASSWORD).await.problem(422, "invalid");
        }
        let names: Vec<_> = (0..8).map(|number| email(&format!("n{number}"))).collect();
        let asked = names.iter().map(|name| register(&stranger, name, "N", PASSWORD));
        let answers = futures_util::future::join_all(asked).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 3);
        let throttled = answers.iter().find(|answer| answer.status == 429).unwrap();
        let seconds = retry_after(throttled);
        app.advance(Duration::from_secs(seconds));
        assert_eq!(register(&stranger, &email("later"), "L", PASSWORD).await.status, 201);
    }
}
