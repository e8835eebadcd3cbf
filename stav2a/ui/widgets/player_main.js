const player = new Player(element.querySelector(".lp"));
watch("value", () => player.show(props.value));
player.show(props.value);
