// What Meteor 3 does about new versions: see what the server tells of this page's architecture, and
// compare it with what the page was made with.
(() => {
  const config = __meteor_runtime_config__;
  const arch = config.isModern ? "web.browser" : "web.browser.legacy";
  const own = { ...config.autoupdate.versions[arch] };
  const versions = new Mongo.Collection("meteor_autoupdate_clientVersions");
  window.autoupdate = { own, versions, ready: false };

  function swap(assets) {
    const old = [...document.querySelectorAll("link.__meteor-css__")];
    for (const { url } of assets) {
      const link = document.createElement("link");
      link.rel = "stylesheet";
      link.className = "__meteor-css__";
      link.href = url;
      document.head.append(link);
    }
    for (const each of old) each.remove();
  }

  function look(document) {
    if (document._id !== arch) return;
    if (document.versionNonRefreshable !== own.versionNonRefreshable) {
      location.reload();
    } else if (document.versionRefreshable !== own.versionRefreshable) {
      own.versionRefreshable = document.versionRefreshable;
      swap(document.assets);
    }
  }

  versions.find().observe({ added: look, changed: look });
  Meteor.subscribe("meteor_autoupdate_clientVersions", config.autoupdate.appId, {
    onReady: () => (autoupdate.ready = true),
    onError: (error) => console.error(error),
  });
})();
