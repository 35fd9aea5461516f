// The application of accounts_site, in a page with Meteor's client and its accounts.
{
  const notes = new Mongo.Collection("desk.note");
  const done = (start) =>
    new Promise((resolve) => {
      start((error, value) => {
        if (!error) resolve({ value });
        else if (error.error === undefined) resolve({ error: { error: String(error) } });
        else {
          const { error: code, reason, details } = error;
          resolve({ error: { error: code, reason, details } });
        }
      });
    });
  const now = (value) => Promise.resolve({ value });

  let finish;
  const take = (kind) => (token, enableLogin) => {
    finish = enableLogin;
    report(kind, { token });
  };
  Accounts.onResetPasswordLink(take("resetLink"));
  Accounts.onEmailVerificationLink(take("verifyLink"));
  Accounts.onEnrollmentLink(take("enrollLink"));

  let connected = false;
  Tracker.autorun(() => {
    if (Meteor.status().connected === connected) return;
    connected = !connected;
    report(connected ? "connected" : "disconnected");
  });
  Tracker.autorun(() => report("news", { id: Meteor.userId(), user: Meteor.user() }));
  notes.find().observe({ added: () => report("news"), removed: () => report("news") });

  // Interactions that a link begins end here: other logins may go on.
  const ending = (start) =>
    done((callback) => {
      start((error, value) => {
        if (finish && !error) finish();
        callback(error, value);
      });
    });

  window.client = {
    signUp: (options) => done((callback) => Accounts.createUser(options, callback)),
    logIn: (who, password) => done((callback) => Meteor.loginWithPassword(who, password, callback)),
    logOut: () => done((callback) => Meteor.logout(callback)),
    changePassword: (old, password) =>
      done((callback) => Accounts.changePassword(old, password, callback)),
    forgotPassword: (email) => done((callback) => Accounts.forgotPassword({ email }, callback)),
    resetPassword: (token, password) =>
      ending((callback) => Accounts.resetPassword(token, password, callback)),
    verifyEmail: (token) => ending((callback) => Accounts.verifyEmail(token, callback)),
    logOutOthers: () => done((callback) => Meteor.logoutOtherClients(callback)),
    user: () => now((Meteor.userId() && Meteor.user()) ?? null),
    kept: () => now(localStorage.getItem("Meteor.loginToken")),
    call: (method, params) => done((callback) => Meteor.apply(method, params, callback)),
    subscribe: (key, name, params) =>
      done((callback) => {
        Meteor.subscribe(name, ...params, { onReady: callback, onStop: callback });
      }),
    documents: () => now(notes.find().fetch()),
    // Until what was kept has been resumed, or refused: whether it was allowed.
    resumed: () =>
      done((callback) => Accounts.onPageLoadLogin(({ allowed }) => callback(null, allowed))),
    ready: () =>
      done((callback) => {
        Tracker.autorun(() => {
          if (Meteor.status().connected && Accounts.loginServicesConfigured()) callback();
        });
      }),
  };
}
