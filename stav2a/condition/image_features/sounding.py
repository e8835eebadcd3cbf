"""The sound of each ImageNet class: a caption in the wording of the training data, and the sound class.

ImageNet classes that do not imply a sound (furniture, clothes, food, fungi, places) are left out. A sound class of ""
means that the sound bank has no class for the sound (bowed strings, wind instruments).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple


class Sounding(NamedTuple):
    caption: str
    cls: str  # a key of `PHRASES`, or ""
    seen: tuple[int, ...]  # indices of ImageNet's 1000 classes


TABLE = """
a rooster crows               | rooster_crow    | 7
a hen clucks                  | chicken_cluck   | 8
a bird chirps                 | bird_chirp      | 10-20 80-83 85-86 91-95 448
a parrot squawks              | bird_chirp      | 87-90
a large bird calls            | bird_chirp      | 21-24 84 96 127-143 146
seagulls cry over the sea     | bird_chirp      | 144
a penguin calls               | bird_chirp      | 145
a duck quacks                 | duck_quack      | 97 98
a goose honks                 | duck_quack      | 99 100
a frog croaks                 | frog_croak      | 30-32
a sea lion barks              | wild_animal     | 150
a whale sings                 | wild_animal     | 147 148
a dog barks                   | dog_bark        | 151-268 273
a wolf howls                  | wild_animal     | 269-272 274-276
a fox barks                   | wild_animal     | 277-280
a cat meows                   | cat_meow        | 281-285
a lion roars                  | wild_animal     | 291
a tiger growls                | wild_animal     | 292
a big cat roars               | wild_animal     | 286-290 293
a bear growls                 | wild_animal     | 294-297
an insect buzzes              | insects         | 308 311 312 316
a bee buzzes                  | insects         | 309 410 599
a horse neighs                | horse_neigh     | 339 340
a horse trots                 | horse_neigh     | 603
a pig grunts                  | pig_grunt       | 341-343
a cow moos                    | cow_moo         | 345-347 690
a sheep bleats                | sheep_baa       | 348-350
a camel grunts                | wild_animal     | 354
monkeys screech               | wild_animal     | 367-383
a gorilla grunts and snarls   | wild_animal     | 365 366
an elephant trumpets          | wild_animal     | 101 385 386
a baby cries                  | baby_cry        | 431 443 516 520 529 680
a plane passes overhead       | aircraft        | 403-405 895 908
a siren wails                 | alarm_siren     | 407 555 734
a car drives past             | vehicle_engine  | 436 468 511 581 609 627 656 661 717 751 817 475 479 685 785 535
a bus drives past             | vehicle_engine  | 654 779 874
a truck engine runs           | vehicle_engine  | 569 675 757 864 867 561 847 586 408
a motorcycle engine runs      | vehicle_engine  | 665 670
a race car speeds past        | vehicle_engine  | 573
a tractor engine runs         | vehicle_engine  | 866 595 856 803 730
a snowmobile engine runs      | vehicle_engine  | 802 450
a boat engine runs            | vehicle_engine  | 814 554 625
a train passes                | train           | 466 547 565 705 820 829
a wheel rolls over the floor  | rolling_object  | 444 671 870 880
a gun is fired                | gunshot         | 413 763 764
a cannon explodes             | explosion       | 471 657 744
a rocket bangs in the sky     | fireworks       | 812
a guitar is strummed          | plucked_string  | 402 546
a banjo string is plucked     | plucked_string  | 420
a harp string is plucked      | plucked_string  | 594
a cello is played with a bow  |                 | 486
a violin is played with a bow |                 | 889
a trumpet is played           |                 | 513 566
a trombone is played          |                 | 875
a saxophone is played         |                 | 776
a flute is played             |                 | 432 558 683 684 699
a harmonica is played         |                 | 593
an accordion is played        |                 | 401
a piano plays a note          | piano_note      | 579 881 687
a drum is hit with a stick    | tom_drum        | 541 542
a xylophone is played         | xylophone       | 642 822
a shaker is shaken            | shaker          | 641
a gong is struck              | metal_hit       | 577
a chime tinkles               | chimes          | 494
a bell rings                  | bell_ring       | 442
a whistle is blown            | whistle         | 902
a chainsaw runs               | chainsaw        | 491
a power drill whirs           | power_tool      | 740
a hammer strikes metal        | hammering       | 587 677
someone saws wood             | sawing          | 634
a lawn mower runs             | machine_hum     | 621
a vacuum cleaner runs         | machine_hum     | 882
a hair dryer blows            | machine_hum     | 589
an electric fan whirs         | machine_hum     | 545
a sewing machine runs         | machine_hum     | 786
a washing machine runs        | machine_hum     | 897 534
a printer prints              | machine_hum     | 742
an oven hums                  | machine_hum     | 651
someone types on a keyboard   | keyboard_typing | 508 810 878
a clock ticks                 | clock_tick      | 409 426 892
a telephone rings             | bell_ring       | 528 707
a ball bounces                | ball_bounce_hit | 430 890 805
a ball is hit                 | ball_bounce_hit | 429 522 574 722 736 752 852 981 768 746
a fountain splashes           | running_water   | 562
waves roll in                 | sea_waves       | 460 977 978
water bubbles                 | bubbles         | 801 983 973
water splashes                | water_splash    | 433 842
a toilet is flushed           | running_water   | 861
water is poured into a glass  | running_water   | 438 647 725 899
water runs from a tap         | running_water   | 896
a fire crackles               | fire_crackle    | 556 862
an explosion booms            | explosion       | 980
a bow shoots an arrow         | bow_shot        | 456
a punch lands                 | body_hit        | 747
a camera shutter clicks       | camera_shutter  | 732 759
a bag rustles                 | crinkle         | 728
a knife chops on a cutting board | chopping     | 499
a pencil scratches on paper   | writing_scratch | 418 563 749
the wind blows                | wind            | 701
"""  # fmt: skip


@lru_cache(maxsize=1)
def soundings() -> tuple[Sounding, ...]:
    """The rows of `TABLE`."""
    rows = ([cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines())
    return tuple(Sounding(caption, cls, tuple(_indices(seen))) for caption, cls, seen in rows)


def _indices(text: str) -> list[int]:
    """ "7 10-12" -> [7, 10, 11, 12]."""
    ends = (part.split("-") for part in text.split())
    return [k for first, *last in ends for k in range(int(first), int((last or [first])[0]) + 1)]
