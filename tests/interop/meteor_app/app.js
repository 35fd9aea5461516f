const Books = new Mongo.Collection("books");
Meteor.subscribe("books");
document.querySelector("h1").textContent += ` (${Meteor.settings.public.town})`;
Tracker.autorun(() => {
  document.querySelector("ul").replaceChildren(
    ...Books.find({}, { sort: { title: 1 } }).map(({ title }) => {
      const item = document.createElement("li");
      item.textContent = title;
      return item;
    }),
  );
  document.querySelector("footer").textContent = Meteor.status().status;
});
document.querySelector("button").addEventListener("click", () => Meteor.call("add", "Persuasion"));
