const player = new Player(element.querySelector(".lp"));
eachValue((value) => player.show(value));
